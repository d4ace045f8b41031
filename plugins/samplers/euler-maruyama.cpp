#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// The reverse SDE by Euler and Maruyama: Song et al. 2021, equation 6, from t down to s. The
/// authors' code takes N steps of 1/N from the N times of linspace(1, t_min, N), both ends among
/// them: a little less than their distance apart, and one more from t_min, whose noise its samplers
/// take off again. That is `steps = N, dt = 1/N`.
class EulerMaruyama final : public Step {
 public:
  void params(Params& p) override {
    p("dt", dt_,
      "step length: grid takes t - s; a number is used for all steps, and the grid goes on to 0 "
      "(score-SDE's code: 1/steps)")
        .one_of({"grid"})
        .range(1e-9, 1e9);
    p.needs("path", "it integrates an SDE from noise to data");
    p.needs("finite-snr", "the SDE's drift alpha'/alpha is infinite where alpha is 0");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const PerRow f = run.scheduler.f(t), g2 = run.scheduler.g2(t),
                 dt = own() ? PerRow(*own()) : t - s;
    const at::Tensor score = run.model(x, t).score();
    at::Tensor z = run.noise.normal(x);
    if (own()) z = (s > 0) * z;
    return x - dt * (f * x - g2 * score) + sqrt(g2 * dt) * z;
  }
  bool reaches_zero() const override { return own(); }

 private:
  const double* own() const { return std::get_if<double>(&dt_); }
  NumberOrWord dt_ = "grid";
};
}  // namespace
SCORELAB_PLUGIN(EulerMaruyama, step, "euler-maruyama", "1.1.0", "the reverse SDE, first order")
