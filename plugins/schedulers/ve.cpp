#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <cmath>

namespace {
using namespace scorelab;

/// The variance-exploding process: Song et al. 2021, appendix B; sigma(t) = sigma_min
/// (sigma_max/sigma_min)^t, added to clean data.
class Ve final : public Scheduler {
 public:
  void params(Params& p) override {
    p("sigma_min", sigma_min_, "sigma towards t = 0").range(1e-9, 1e9);
    p("sigma_max", sigma_max_,
      "sigma at t = 1, the prior's; NCSNv2's technique 1: the largest distance between two data "
      "points")
        .range(1e-9, 1e9);
    p("t_min", t_min_, "the clean end of the range that is trained and sampled").range(1e-8, 0.5);
    p.gives("path");
    p.gives("finite-snr");
    p.gives("finite-velocity");
    p.gives("noise");
  }
  void check() const override {
    if (sigma_max_ <= sigma_min_) throw Error("`sigma_max` must be above `sigma_min`");
  }
  Marginal at(Dual t) const override {
    return {1, sigma_min_ * exp(t * std::log(sigma_max_ / sigma_min_))};
  }
  double t_min() const override { return t_min_; }
  double prior_std() const override { return sigma_max_; }
  double conditioning(double t) const override { return std::log(at(t).sigma.value); }

 private:
  double sigma_min_ = 0.01, sigma_max_ = 50, t_min_ = 1e-5;
};
}  // namespace
SCORELAB_PLUGIN(Ve, scheduler, "ve", "1.0.0", "variance exploding, continuous time")
