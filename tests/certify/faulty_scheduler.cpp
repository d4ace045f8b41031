// A variance-preserving process with one fault, which FAULT names: `scorelab certify` must fail the
// check that shows it.
#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <cmath>
#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;

class Faulty final : public Scheduler {
 public:
  void params(Params& p) override {
    for (const char* name : {"path", "finite-snr", "finite-velocity", "noise"}) p.gives(name);
  }
  Marginal at(Dual t) const override {
    if (fault == "sigma-falls") return {1, sin(0.7 * M_PI * t)};
    const Dual angle = (fault == "no-slope" ? Dual(t.value) : t) * (0.99 * M_PI / 2);
    const Dual s = sin(angle);
    return {cos(angle), fault == "wrong-slope" ? Dual(s.value, 0.999 * s.slope) : s};
  }
  double t_min() const override { return 1e-3; }
  double prior_std() const override { return fault == "wrong-prior" ? 2 : 1; }
  double conditioning(double t) const override {
    return fault == "infinite-conditioning" ? 1 / (t - t_min()) : 999 * t;
  }
  double t_of(double lambda) const override {
    return (fault == "no-inverse" ? 0.999 : 1) * std::atan(std::exp(-lambda)) / (0.99 * M_PI / 2);
  }
};
}  // namespace
SCORELAB_PLUGIN(Faulty, scheduler, "scheduler-" FAULT, "0.1.0", "has a fault")
