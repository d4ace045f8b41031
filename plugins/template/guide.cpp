#include <scorelab/guide.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Pulls x0 towards the origin before a sampler reads it: every sampler has it, whatever it asks
/// the model for.
class Template final : public Guide {
 public:
  void params(Params& p) override {
    p("pull", pull_, "share of x0 that is taken away").range(0, 1);
  }
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    const Prediction p = run.model(x, t);
    return p.with(Quantity::x0, (1 - pull_) * p.x0());
  }

 private:
  double pull_ = 0.1;
};
}  // namespace
SCORELAB_PLUGIN(Template, guide, "template", "0.1.0", "pulls x0 to the origin; write what it is")
