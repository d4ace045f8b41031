#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

namespace {
using namespace scorelab;

/// A discrete variance-preserving process that erases as much of the signal in each step: alpha^2 =
/// 1 - t, beta of level i is 1/(T - i + 1). Sohl-Dickstein et al. 2015, section 2.4.1. The last
/// beta is 1 and leaves nothing of the data: a network cannot predict eps there, but x0, v or the
/// mean; and alpha falls there like a root, with an infinite slope, so that no velocity is defined.
class LinearAlphaBar final : public Scheduler {
 public:
  void params(Params& p) override {
    p("T", T_, "number of levels").range(2, 1e6);
    for (const char* name : {"levels", "path", "noise"}) p.gives(name);
  }
  Marginal at(Dual t) const override { return {sqrt(1 - t), sqrt(t)}; }
  std::int64_t levels() const override { return T_; }
  double t_min() const override { return 1 / static_cast<double>(T_); }
  double prior_std() const override { return 1; }
  double conditioning(double t) const override { return t * static_cast<double>(T_) - 1; }

 private:
  std::int64_t T_ = 1000;
};
}  // namespace
SCORELAB_PLUGIN(LinearAlphaBar, scheduler, "linear-alpha-bar", "1.0.0",
                "a discrete process whose alpha^2 falls linearly to 0")
