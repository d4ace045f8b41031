#include <scorelab/metric.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

struct StandIn final : Metric {
  void params(Params& p) override {
    p("space", space_, "of frechet").one_of({"pixels"});
    p("features", features_, "of frechet: the network whose features are compared");
    p("rtol", rtol_, "of endpoint-error").range(0, 1);
  }
  std::vector<Measurement> measure(const Measured&) const override { return {{"", 0, "1", "min", ""}}; }
  std::string space_ = "pixels";
  ModelRef features_;
  double rtol_ = 1e-6;
};
}  // namespace
SCORELAB_PLUGIN(StandIn, metric, STAND_IN, "0.0.0", "stands in for a metric that is not written yet")
