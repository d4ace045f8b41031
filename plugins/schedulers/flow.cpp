#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <cmath>

namespace {
using namespace scorelab;

/// The straight path of flow matching and rectified flow: x_t = (1 - t) x_0 + t eps (Lipman et al.
/// 2023 with sigma_min = 0; Liu et al. 2023). At t = 1 nothing of the data is left: the velocity is
/// defined there, the drift of an SDE is not.
class Flow final : public Scheduler {
 public:
  void params(Params& p) override {
    p("t_min", t_min_, "the clean end of the range").range(1e-8, 0.5);
    p("alpha_min", alpha_min_,
      "what is left of the data at the noisy end, 1 - t_max; samplers of SDEs need it above 0")
        .range(0, 0.5);
    p.gives("path");
    p.gives("finite-velocity");
    p.gives("noise");
    p.gives("finite-snr").above("alpha_min", 0);
  }
  Marginal at(Dual t) const override { return {1 - t, t}; }
  double t_min() const override { return t_min_; }
  double t_max() const override { return 1 - alpha_min_; }
  double prior_std() const override { return 1; }
  double conditioning(double t) const override { return 999 * t; }
  double t_of(double lambda) const override { return 1 / (1 + std::exp(lambda)); }

 private:
  double t_min_ = 1e-3, alpha_min_ = 0;
};
}  // namespace
SCORELAB_PLUGIN(Flow, scheduler, "flow", "1.0.0", "flow matching's straight path")
