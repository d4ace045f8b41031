#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <cmath>

namespace {
using namespace scorelab;

/// Hang & Gu 2024, table 1: log(alpha^2/sigma^2) has a Laplace law in t: mu - b sgn(1/2 - t) log(1
/// - 2 |t - 1/2|), alpha^2 + sigma^2 = 1.
class Laplace final : public Scheduler {
 public:
  void params(Params& p) override {
    p("mu", mu_, "the log signal-to-noise ratio in the middle").range(-20, 20);
    p("b", b_, "how wide it spreads").range(1e-3, 20);
    p("t_min", t_min_,
      "the clean end of the range; it ends at 1 - t_min, where the ratio is as far on the other "
      "side")
        .range(1e-8, 0.4);
    for (const char* name : {"path", "finite-snr", "finite-velocity", "noise"}) p.gives(name);
  }
  Marginal at(Dual t) const override {
    const Dual log_snr = t.value < 0.5 ? mu_ - b_ * log(2 * t) : mu_ + b_ * log(2 * (1 - t));
    return {exp(-0.5 * log(1 + exp(-log_snr))), exp(-0.5 * log(1 + exp(log_snr)))};
  }
  double t_min() const override { return t_min_; }
  double t_max() const override { return 1 - t_min_; }
  double prior_std() const override { return 1; }
  double conditioning(double t) const override { return 999 * t; }

 private:
  double mu_ = 0, b_ = 0.5, t_min_ = 1e-4;
};
}  // namespace
SCORELAB_PLUGIN(Laplace, scheduler, "laplace", "1.0.0",
                "the log signal-to-noise ratio has a Laplace law")
