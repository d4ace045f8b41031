#include <ATen/ATen.h>
#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

#include "half.h"

namespace {
using namespace scorelab;

/// The probability-flow ODE by the midpoint rule.
class Midpoint final : public Sampler {
 public:
  void params(Params& p) override {
    grid_.params(p);
    p.needs("path", "it integrates an ODE from noise to data");
  }
  double start(const Scheduler& q) const override { return grid_.first(q, false); }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    for (const auto& [i, t, s] : grid_.steps(run.scheduler, false)) {
      const double h = s - t;
      const at::Tensor middle = x + half * h * run.model(x, t).velocity();
      x = x + h * run.model(middle, t + half * h).velocity();
      run.observe(s, x);
    }
    return x;
  }

 private:
  Grid grid_;
};
}  // namespace
SCORELAB_PLUGIN(Midpoint, sampler, "midpoint", "1.0.0",
                "the probability-flow ODE by the midpoint rule")
