#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <cmath>

namespace {
using namespace scorelab;

/// EDM's process: Karras et al. 2022; sigma = t added to clean data. A network sees log(sigma)/4,
/// as in table 1.
class Edm final : public Scheduler {
 public:
  void params(Params& p) override {
    p("sigma_min", sigma_min_, "the clean end of the range").range(1e-9, 1e9);
    p("sigma_max", sigma_max_, "the noisy end, the prior's standard deviation").range(1e-9, 1e9);
    for (const char* name : {"path", "finite-snr", "finite-velocity", "noise"}) p.gives(name);
  }
  void check() const override {
    if (sigma_max_ <= sigma_min_) throw Error("`sigma_max` must be above `sigma_min`");
  }
  Marginal at(Dual t) const override { return {1, t}; }
  double t_min() const override { return sigma_min_; }
  double t_max() const override { return sigma_max_; }
  double prior_std() const override { return sigma_max_; }
  double conditioning(double t) const override { return 0.25 * std::log(t); }
  double t_of(double lambda) const override { return std::exp(-lambda); }

 private:
  double sigma_min_ = 0.002, sigma_max_ = 80;
};
}  // namespace
SCORELAB_PLUGIN(Edm, scheduler, "edm", "1.0.0", "EDM's process: sigma = t")
