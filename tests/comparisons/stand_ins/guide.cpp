#include <scorelab/guide.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

struct StandIn final : Guide {
  void params(Params& p) override {
    p("model", model_, "of classifier-guidance: the classifier");
    p("scale", scale_, "of both").range(0, 1000);
  }
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    return run.model(x, t);
  }
  ModelRef model_{"classifies"};
  double scale_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(StandIn, guide, STAND_IN, "0.0.0", "stands in for a guide that is not written yet")
