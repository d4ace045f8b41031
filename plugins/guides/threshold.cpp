#include <ATen/ATen.h>
#include <scorelab/guide.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Dynamic thresholding: Saharia et al. 2022 (Imagen), section 2.3. With s the quantile of |x0|
/// over a sample's elements, at least `bound`: x0 is clipped to [-s, s] and scaled by bound/s.
class Threshold final : public Guide {
 public:
  void params(Params& p) override {
    p("quantile", quantile_, "of |x0| over the elements of a sample").range(0, 1);
    p("bound", bound_, "where the data's largest value lies, in the model's units")
        .range(1e-9, 1e9);
  }
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    const Prediction p = run.model(x, t);
    const at::Tensor x0 = p.x0();
    at::Tensor s = at::quantile(x0.flatten(1).abs(), quantile_, 1).clamp_min(bound_);
    std::vector<std::int64_t> shape(x0.dim(), 1);
    shape[0] = x0.size(0);
    s = s.view(shape);
    return p.with(Quantity::x0, at::minimum(at::maximum(x0, -s), s) * (bound_ / s));
  }

 private:
  double quantile_ = 0.995, bound_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Threshold, guide, "threshold", "1.0.0", "dynamic thresholding of the predicted x0")
