#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Reverse diffusion: Song et al. 2021, equation 46; the reverse SDE discretised as the forward
/// process is, x_t = alpha x_s + G z, so that f = (alpha - 1) x. `ode` is the paper's "probability
/// flow" predictor: half of the score's part and no noise.
class ReverseDiffusion final : public Step {
 public:
  void params(Params& p) override {
    p("ode", ode_, "the deterministic form: probability flow in table 1");
    p.needs("path", "it walks from noise to data");
    p.needs("finite-snr", "the score's part of a step is infinite where alpha is 0");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const auto [alpha, G2] = run.scheduler.kernel(s, t);
    const at::Tensor score = run.model(x, t).score();
    const at::Tensor mean = (2.0 - alpha) * x + (ode_ ? 0.5 * G2 : G2) * score;
    if (ode_) return mean;
    const at::Tensor z = (s > 0) * run.noise.normal(x);  // the last step is the mean
    return mean + sqrt(G2) * z;
  }

 private:
  bool ode_ = false;
};
}  // namespace
SCORELAB_PLUGIN(ReverseDiffusion, step, "reverse-diffusion", "1.0.0",
                "the reverse SDE, discretised as the forward process is")
