#include <ATen/ATen.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Conditional flow matching: Lipman et al. 2023, equation 9, for x_t = alpha x_0 + sigma eps: the
/// squared error of the velocity against alpha' x_0 + sigma' eps, a mean over the elements. On
/// `flow` the target is eps - x_0: rectified flow (Liu et al. 2023, equation 1).
class FlowMatching final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p.needs("path", "it learns the velocity along a path from noise to data");
    p.needs("finite-velocity",
            "the velocity that it teaches is infinite where alpha ends at 0 like a root");
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const auto& q = run.scheduler;
    const at::Tensor target = q.alpha_slope(b.t) * b.x0 + q.sigma_slope(b.t) * b.eps;
    const at::Tensor error = run.model(b.x, b.t).velocity() - target;
    return row_dot(error, error) *
           (static_cast<double>(b.x.size(0)) / static_cast<double>(b.x.numel()));
  }
};
}  // namespace
SCORELAB_PLUGIN(FlowMatching, objective, "flow-matching", "1.0.0",
                "conditional flow matching; rectified flow")
