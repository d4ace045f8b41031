#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// The reverse SDE by Heun's method (Roberts 2012 for the noise; with noise that does not depend on
/// x, Ito's and Stratonovich's SDEs are one): Euler-Maruyama's step, then the mean of both slopes
/// under the same increment. Weak order 2, two evaluations a step.
class StochasticHeun final : public Step {
 public:
  void params(Params& p) override {
    p.needs("path", "it integrates an SDE from noise to data");
    p.needs("finite-snr", "the SDE's drift alpha'/alpha is infinite where alpha is 0");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const PerRow dt = t - s;
    const at::Tensor z = sqrt(dt) * run.noise.normal(x);
    const at::Tensor first = slope(run, x, t), g = sqrt(run.scheduler.g2(t)) * z;
    const at::Tensor second = slope(run, x + dt * first + g, s),
                     g_end = sqrt(run.scheduler.g2(s)) * z;
    return x + dt * (0.5 * (first + second)) + 0.5 * (g + g_end);
  }
  bool reaches_zero() const override { return false; }

 private:
  /// Backwards in time: -f x + g^2 score.
  static at::Tensor slope(Run& run, const at::Tensor& x, const Times& t) {
    return run.scheduler.g2(t) * run.model(x, t).score() - run.scheduler.f(t) * x;
  }
};
}  // namespace
SCORELAB_PLUGIN(StochasticHeun, step, "stochastic-heun", "1.0.0", "the reverse SDE, weak order 2")
