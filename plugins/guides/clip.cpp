#include <ATen/ATen.h>
#include <scorelab/guide.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Keeps the predicted clean sample in the range that the data can have, as DDPM's and improved
/// DDPM's samplers do ("clip_denoised").
class Clip final : public Guide {
 public:
  void params(Params& p) override {
    p("low", low_, "smallest value of x0, in the model's units").range(-1e9, 1e9);
    p("high", high_, "largest value of x0, in the model's units").range(-1e9, 1e9);
  }
  void check() const override {
    if (low_ >= high_) throw Error("`low` must be below `high`");
  }
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    const Prediction p = run.model(x, t);
    return p.with(Quantity::x0, p.x0().clamp(low_, high_));
  }

 private:
  double low_ = -1, high_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Clip, guide, "clip", "1.0.0", "clips the predicted x0 to a range")
