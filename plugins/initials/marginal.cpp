#include <ATen/ATen.h>
#include <scorelab/initial.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// q(x_T): the data, diffused to t_max. A sampler that starts here has no error from the prior.
class Diffused final : public Initial {
 public:
  void params(Params& p) override { p.gives("exact-moments"); }
  void prepare(const Setting& setting) override { law_ = setting.law; }
  at::Tensor draw(const Start& start, Noise& noise) const override {
    const Scheduler& q = start.scheduler;
    const at::Tensor x0 = start.clean(noise);
    Noise eps = noise.stream("eps");
    return q.alpha(q.t_max()) * x0 + q.sigma(q.t_max()) * eps.normal(x0);
  }
  std::optional<Moments> moments(const Start& start) const override {
    if (!law_ || law_->weights.size(0) != 1 || law_->bases.defined()) return std::nullopt;
    const Scheduler& q = start.scheduler;
    const double alpha = q.alpha(q.t_max()).one(), sigma = q.sigma(q.t_max()).one();
    const auto shape = start.like.sizes().slice(1);
    return Moments{(alpha * law_->means[0]).view(shape), (alpha * alpha * law_->variances[0] + sigma * sigma).view(shape)};
  }

 private:
  const Law* law_ = nullptr;
};
}  // namespace
SCORELAB_PLUGIN(Diffused, initial, "marginal", "1.0.0", "the data, diffused to t_max")
