#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

namespace {
using namespace scorelab;

/// One noise level, x = x_0 + sigma eps, at t = 1: score matching as in Hyvarinen 2005 (sigma = 0)
/// and Vincent 2011.
class OneLevel final : public Scheduler {
 public:
  void params(Params& p) override {
    p("sigma", sigma_, "standard deviation of the noise; 0: the clean data").range(0, 1e9);
    p("prior_std", prior_std_, "standard deviation of the Gaussian that a sampler starts from")
        .range(1e-9, 1e9);
    p.gives("levels");
    p.gives("one-level");
    p.gives("noise").above("sigma", 0);
    p.gives("finite-snr");
  }
  Marginal at(Dual) const override { return {1, sigma_}; }
  std::int64_t levels() const override { return 1; }
  double t_min() const override { return 1; }
  double prior_std() const override { return prior_std_; }
  double conditioning(double) const override { return 0; }

 private:
  double sigma_ = 0.1, prior_std_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(OneLevel, scheduler, "one-level", "1.0.0", "data with one level of noise, or none")
