#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <cmath>

namespace {
using namespace scorelab;

/// NCSN's ladder: Song & Ermon 2019; L noise levels in geometric progression. Level i stands at t = i/L, 1 the cleanest: the paper's
/// sigma_1 is ours at i = L. Between levels log sigma is linear.
class NcsnLadder final : public Scheduler {
 public:
  void params(Params& p) override {
    p("L", L_, "number of levels").range(1, 1e6);
    p("sigma_max", sigma_max_, "the largest level, the prior's standard deviation").range(1e-9, 1e9);
    p("sigma_min", sigma_min_, "the smallest level").range(1e-9, 1e9).above("L", 1);
    p.gives("levels");
    p.gives("noise");
    p.gives("path").above("L", 1);
    p.gives("finite-snr").above("L", 1);
    p.gives("one-level").when("L", {"1"});
  }
  void check() const override {
    if (L_ > 1 && sigma_max_ <= sigma_min_) throw Error("`sigma_max` must be above `sigma_min`");
  }
  Marginal at(Dual t) const override {
    if (L_ == 1) return {1, sigma_max_};
    const Dual level = t * static_cast<double>(L_);
    return {1, sigma_min_ * exp((level - 1.0) / static_cast<double>(L_ - 1) * std::log(sigma_max_ / sigma_min_))};
  }
  std::int64_t levels() const override { return L_; }
  double t_min() const override { return 1 / static_cast<double>(L_); }
  double prior_std() const override { return sigma_max_; }
  double conditioning(double t) const override { return std::log(at(t).sigma.value); }

 private:
  std::int64_t L_ = 10;
  double sigma_max_ = 1, sigma_min_ = 0.01;
};
}  // namespace
SCORELAB_PLUGIN(NcsnLadder, scheduler, "ncsn-ladder", "1.0.0", "noise levels in geometric progression")
