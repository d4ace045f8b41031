#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Denoising: the squared error of eps, to a power between 1/2 and 1. The host draws x0, eps, t and
/// x, the same for every objective.
class Template final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);  // how t is drawn
    p("power", power_, "of the squared error; 1 is least squares").range(0.5, 1);
    p.needs("noise", "it denoises: where sigma = 0 there is nothing to learn");
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor error = run.model(b.x, b.t).eps() - b.eps;
    return (row_dot(error, error) + 1e-6).pow(power_);  // [B]: one number a sample
  }

 private:
  double power_ = 0.75;
};
}  // namespace
SCORELAB_PLUGIN(Template, objective, "template", "0.1.0",
                "a robust denoising loss; write what it is")
