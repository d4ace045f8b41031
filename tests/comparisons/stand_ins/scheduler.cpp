#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <string_view>

namespace {
using namespace scorelab;

constexpr bool discrete = std::string_view(STAND_IN).starts_with("ddpm");

struct StandIn final : Scheduler {
  void params(Params& p) override {
    p("sigma_min", sigma_min_, "of edm").range(1e-9, 1e9);
    p("sigma_max", sigma_max_, "of edm").range(1e-9, 1e9);
    p("rho", rho_, "of Karras's grid, which has none yet").range(1, 100);
    p.gives("noise");
    p.gives("path");
    if (discrete) p.gives("levels");
  }
  Marginal at(Dual t) const override { return {1, t}; }
  double t_min() const override { return sigma_min_; }
  double t_max() const override { return sigma_max_; }
  double prior_std() const override { return sigma_max_; }
  double conditioning(double t) const override { return t; }
  std::int64_t levels() const override { return discrete ? 1000 : 0; }
  double sigma_min_ = 0.002, sigma_max_ = 80, rho_ = 7;
};
}  // namespace
SCORELAB_PLUGIN(StandIn, scheduler, STAND_IN, "0.0.0", "stands in for a scheduler that is not written yet")
