#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// From t down to s along the probability-flow ODE, dx/dt = velocity, by Euler's rule. Say here
/// which paper and equation it is.
class Template final : public Step {
 public:
  void params(Params& p) override {
    p("stretch", stretch_, "multiplies the step: 1 is Euler's rule").range(0.9, 1.1);
    p.needs("path", "it walks from noise to data");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    // one evaluation: x0(), eps(), score(), v() and velocity() cost no more
    const Prediction said = run.model(x, t);
    return x + (stretch_ * (s - t)) * said.velocity();
  }
  // there is no velocity at t = 0: the grid ends at t_min
  bool reaches_zero() const override { return false; }

 private:
  double stretch_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Template, step, "template", "0.1.0", "Euler's rule; write what it is")
