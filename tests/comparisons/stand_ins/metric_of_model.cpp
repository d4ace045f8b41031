#include <scorelab/metric.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

struct StandIn final : Metric {
  void params(Params& p) override {
    on_model_.params(p);
    p("tol", tol_, "of nll-ode").range(1e-13, 1);
    p("divergence", divergence_, "of nll-ode").one_of({"exact", "hutchinson"});
    p("probes", probes_, "of nll-ode").range(1, 1000).when("divergence", {"hutchinson"});
  }
  std::vector<Measurement> measure(const Measured&) const override {
    return {{"", 0, "nat", "min", ""}, {"terms", 0, "nat", "min", "", Measurement::Array{"t", {1}, {0}}}};
  }
  OnModel on_model_;
  double tol_ = 1e-5;
  std::string divergence_ = "exact";
  std::int64_t probes_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(StandIn, metric, STAND_IN, "0.0.0", "stands in for a metric of the model that is not written yet")
