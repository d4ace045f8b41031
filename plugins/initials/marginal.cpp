#include <ATen/ATen.h>
#include <scorelab/initial.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// q(x_t): the data, diffused to where the sampler starts. It has no error from the prior then.
class Diffused final : public Initial {
 public:
  void params(Params& p) override { p.gives("exact-moments"); }
  void prepare(const Setting& setting) override { law_ = setting.law; }
  at::Tensor draw(const Start& start, Noise& noise) const override {
    const Scheduler& q = start.scheduler;
    const at::Tensor x0 = start.clean(noise);
    Noise eps = noise.stream("eps");
    return q.alpha(start.t) * x0 + q.sigma(start.t) * eps.normal(x0);
  }
  std::optional<Moments> moments(const Start& start) const override {
    if (!law_ || law_->weights.size(0) != 1 || law_->bases.defined()) return std::nullopt;
    const Scheduler& q = start.scheduler;
    const double alpha = q.alpha(start.t).one(), sigma = q.sigma(start.t).one();
    const auto shape = start.like.sizes().slice(1);
    return Moments{(alpha * law_->means[0]).view(shape),
                   (alpha * alpha * law_->variances[0] + sigma * sigma).view(shape)};
  }

 private:
  const Law* law_ = nullptr;
};
}  // namespace
SCORELAB_PLUGIN(Diffused, initial, "marginal", "1.1.0",
                "the data, diffused to where the sampler starts")
