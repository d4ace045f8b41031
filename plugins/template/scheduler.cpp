#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <cmath>

namespace {
using namespace scorelab;

/// x_t = alpha x_0 + sigma eps with alpha = cos, sigma = sin: said once, and the slopes follow from
/// dual numbers.
class Template final : public Scheduler {
 public:
  void params(Params& p) override {
    p("end", end_,
      "the angle at t = 1, as a share of pi/2; below 1, so that something of the data is left")
        .range(0.5, 0.999);
    p("t_min", t_min_, "the clean end of the range").range(1e-6, 0.5);
    for (const char* name : {"path", "finite-snr", "finite-velocity", "noise"}) p.gives(name);
  }
  Marginal at(Dual t) const override {
    const Dual angle = t * (end_ * M_PI / 2);
    return {cos(angle), sin(angle)};
  }
  double t_min() const override { return t_min_; }
  double prior_std() const override { return 1; }
  double conditioning(double t) const override { return 999 * t; }  // what a network sees as time

 private:
  double end_ = 0.99, t_min_ = 1e-3;
};
}  // namespace
SCORELAB_PLUGIN(Template, scheduler, "template", "0.1.0", "cosine and sine; write what it is")
