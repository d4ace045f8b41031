#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

namespace {
using namespace scorelab;

struct StandIn final : Scheduler {
  void params(Params& p) override {
    p("sigma_min", sigma_min_, "of edm").range(1e-9, 1e9);
    p("sigma_max", sigma_max_, "of edm").range(1e-9, 1e9);
    p("rho", rho_, "of Karras's grid, which has none yet").range(1, 100);
    p.gives("noise");
    p.gives("path");
  }
  Marginal at(Dual t) const override { return {1, t}; }
  double t_min() const override { return sigma_min_; }
  double t_max() const override { return sigma_max_; }
  double prior_std() const override { return sigma_max_; }
  double conditioning(double t) const override { return t; }
  double sigma_min_ = 0.002, sigma_max_ = 80, rho_ = 7;
};
}  // namespace
SCORELAB_PLUGIN(StandIn, scheduler, STAND_IN, "0.0.0", "stands in for a scheduler that is not written yet")
