#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

namespace {
using namespace scorelab;

/// Throws inside of its range, not at its ends.
struct ThrowingScheduler final : Scheduler {
  void params(Params& p) override {
    p("in", in_, "the method").one_of({"at"});
    for (const char* name : {"path", "finite-snr", "finite-velocity", "noise"}) p.gives(name);
  }
  Marginal at(Dual t) const override {
    if (t.value > 0.01 && t.value < 0.99) throw Error("the road is blocked in " + in_);
    return {cos(t), sin(t)};
  }
  double t_min() const override { return 1e-3; }
  double prior_std() const override { return 1; }
  double conditioning(double t) const override { return t; }

 private:
  std::string in_ = "at";
};
}  // namespace
SCORELAB_PLUGIN(ThrowingScheduler, scheduler, "throwing-scheduler", "1.0.0", "throws in its range")
