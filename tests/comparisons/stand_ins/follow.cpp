#include <scorelab/guide.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Says what another model says.
struct Follow final : Guide {
  void params(Params& p) override { p("teacher", teacher_, "the model that speaks"); }
  void check() const override {
    if (!teacher_) throw Error("`teacher` must name a model");
  }
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    return run.model(x, t).with(Quantity::eps, teacher_.under(run.model)(x, t).eps());
  }
  ModelRef teacher_;
};
}  // namespace
SCORELAB_PLUGIN(Follow, guide, "follow", "1.0.0", "says what another model says")
