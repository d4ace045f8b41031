#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// The reverse SDE by Euler and Maruyama: Song et al. 2021, equation 6, from t down to s.
class EulerMaruyama final : public Step {
 public:
  void params(Params& p) override {
    p.needs("path", "it integrates an SDE from noise to data");
    p.needs("finite-snr", "the SDE's drift alpha'/alpha is infinite where alpha is 0");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const PerRow f = run.scheduler.f(t), g2 = run.scheduler.g2(t), dt = t - s;
    const at::Tensor score = run.model(x, t).score();
    const at::Tensor z = run.noise.normal(x);
    return x - dt * (f * x - g2 * score) + sqrt(g2 * dt) * z;
  }
  bool reaches_zero() const override { return false; }
};
}  // namespace
SCORELAB_PLUGIN(EulerMaruyama, step, "euler-maruyama", "1.0.0", "the reverse SDE, first order")
