#include <scorelab/guide.h>
#include <scorelab/plugin.h>

#include <vector>

namespace {
using namespace scorelab;

/// Classifier-free guidance: Ho & Salimans 2022, equation 6, with the weights of Imagen and most
/// code since, uncond + scale (cond - uncond): `scale` is their 1 + w. Within `interval` only:
/// Kynkaanniemi et al. 2024.
class ClassifierFree final : public Guide {
 public:
  void params(Params& p) override {
    p("scale", scale_,
      "0: unconditional prediction; 1: conditional; above 1: extrapolates away from the "
      "unconditional one")
        .range(0, 1000);
    p("interval", interval_,
      "noise levels sigma/alpha between which it guides, above the first and up to the second; "
      "elsewhere scale is 1")
        .range(0, everywhere);
    p.needs("conditional", "it compares what the network says with and without the condition");
    p.needs("unconditional",
            "it asks without the condition, which a network learns where some are dropped: "
            "train.drop_condition");
  }
  void check() const override {
    if (interval_.size() != 2 || !(interval_[0] < interval_[1]))
      throw Error("`interval` takes two increasing numbers, such as [0.3, 5.0]");
  }
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    const Scheduler& q = run.model.scheduler();
    const PerRow level = q.sigma(t) / q.alpha(t),
                 inside = (level > interval_[0]) * (min(level, everywhere) <= interval_[1]);
    const PerRow scale = 1.0 + (scale_ - 1) * inside;
    if (!(1.0 - scale).any()) return run.model(x, t);
    if (!scale.any()) return run.model.unconditional()(x, t);
    const Prediction labelled = run.model(x, t);
    const Prediction bare = run.model.unconditional().rows(inside)(x, t);  // 0 in the rows outside
    const Quantity q0 = labelled.stated();
    return labelled.with(q0, scale * labelled.as(q0) + (1.0 - scale) * bare.as(q0));
  }

 private:
  static constexpr double everywhere = 1e9;
  double scale_ = 1;
  std::vector<double> interval_{0, everywhere};
};
}  // namespace
SCORELAB_PLUGIN(ClassifierFree, guide, "classifier-free", "1.0.0",
                "classifier-free guidance, everywhere or between two noise levels")
