#include <ATen/ATen.h>
#include <scorelab/initial.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// N(0, prior_std^2), the scheduler's own.
class Prior final : public Initial {
 public:
  void params(Params& p) override { p.gives("exact-moments"); }
  at::Tensor draw(const Start& start, Noise& noise) const override {
    return start.scheduler.prior_std() * noise.normal(start.like);
  }
  std::optional<Moments> moments(const Start& start) const override {
    const at::Tensor one = at::ones(start.like.sizes().slice(1), at::kDouble);
    return Moments{0 * one, one * std::pow(start.scheduler.prior_std(), 2)};
  }
};
}  // namespace
SCORELAB_PLUGIN(Prior, initial, "prior", "1.0.0", "the scheduler's prior, N(0, prior_std^2)")
