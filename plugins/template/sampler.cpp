#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

namespace {
using namespace scorelab;

/// The probability-flow ODE by the midpoint rule, in a loop of its own. Say here which paper and
/// algorithm it is.
class Template final : public Sampler {
 public:
  void params(Params& p) override {
    grid_.params(p);  // steps, nfe, spacing, ..: the time grid that all samplers share
    p("denoise", denoise_, "ends with Tweedie's mean, at one more evaluation");
    p.needs("path", "it integrates an ODE from noise to data");
  }
  double start(const Scheduler& q) const override { return grid_.first(q, false); }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    double end = run.scheduler.t_max();
    for (const auto& [i, t, s] : grid_.steps(run.scheduler, false)) {
      const double h = s - t;
      const at::Tensor half = x + 0.5 * h * run.model(x, t).velocity();
      x = x + h * run.model(half, t + 0.5 * h).velocity();
      run.observe(end = s, x);  // once a step: progress, paths, and where a run may be stopped
    }
    return denoise_ ? run.model(x, end).x0() : x;
  }

 private:
  Grid grid_;
  bool denoise_ = false;
};
}  // namespace
SCORELAB_PLUGIN(Template, sampler, "template", "0.1.0", "the midpoint rule; write what it is")
