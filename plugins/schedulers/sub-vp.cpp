#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

namespace {
using namespace scorelab;

/// The sub-VP process: Song et al. 2021, appendix B, equation 29; alpha as in VP, sigma = 1 -
/// alpha^2, g^2 = beta (1 - alpha^4).
class SubVp final : public Scheduler {
 public:
  void params(Params& p) override {
    p("beta_min", beta_min_, "beta at t = 0").range(1e-6, 1000);
    p("beta_max", beta_max_, "beta at t = 1").range(1e-6, 1000);
    p("t_min", t_min_,
      "the clean end of the range that is trained and sampled; the authors sample to 1e-3")
        .range(1e-8, 0.5);
    for (const char* name : {"path", "finite-snr", "finite-velocity", "noise"}) p.gives(name);
  }
  void check() const override {
    if (beta_max_ < beta_min_) throw Error("`beta_max` must not be below `beta_min`");
  }
  Marginal at(Dual t) const override {
    const Dual log_alpha = -0.25 * t * t * (beta_max_ - beta_min_) - 0.5 * t * beta_min_;
    return {exp(log_alpha), -expm1(2 * log_alpha)};
  }
  double t_min() const override { return t_min_; }
  double prior_std() const override { return 1; }
  double conditioning(double t) const override { return 999 * t; }

 private:
  double beta_min_ = 0.1, beta_max_ = 20, t_min_ = 1e-3;
};
}  // namespace
SCORELAB_PLUGIN(SubVp, scheduler, "sub-vp", "1.0.0", "variance below that of VP, continuous time")
