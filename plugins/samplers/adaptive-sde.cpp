#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

#include <cmath>
#include <limits>

namespace {
using namespace scorelab;

/// The adaptive solver of the reverse SDE: Jolicoeur-Martineau et al. 2021, algorithm 1.
/// Euler-Maruyama's step beside a stochastic improved Euler step; the mean of both (of second
/// order) is kept where they agree within the tolerance. Each sample has its own steps. A step that
/// is refused is drawn anew, as in the paper: in few dimensions the draws that make the error small
/// are then favoured and the samples spread too far, whatever the tolerance; with run.noise =
/// "path" the next one follows the same Brownian path, and they do not.
class AdaptiveSde final : public Sampler {
 public:
  void params(Params& p) override {
    p("rtol", rtol_, "relative tolerance of a step").range(1e-9, 1);
    p("atol", atol_,
      "absolute tolerance of a step, in the model's units; the paper has half a grey level of "
      "images in [-1, 1]")
        .range(1e-9, 1e6);
    p("first", first_, "first step tried, as a share of the whole").range(1e-6, 1);
    p("safety", safety_, "of the next step's length").range(0.1, 1);
    p("exponent", exponent_, "of the error in the next step's length: from 0.5 to 1").range(0.1, 2);
    p("denoise", denoise_, "ends with Tweedie's mean, at one more evaluation");
    p.needs("path", "it integrates an SDE from noise to data");
    p.needs("finite-snr", "the SDE's drift alpha'/alpha is infinite where alpha is 0");
  }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    const auto& q = run.scheduler;
    const double start = q.t_max(), end = q.t_min();
    Times t(std::vector<double>(x.size(0), start));
    PerRow h = first_ * (start - end);
    at::Tensor before = x;
    while ((t > end).any()) {
      const Times next = max(t - h, end);
      const PerRow dt = t - next;
      Run live = run.rows(t > end);  // a row that has arrived stands still, at no cost
      const at::Tensor z = sqrt(dt) * live.increments(t, next).normal(x);
      const at::Tensor euler = x + dt * slope(live, x, t) + sqrt(q.g2(t)) * z;
      const at::Tensor improved = x + dt * slope(live, euler, next) + sqrt(q.g2(next)) * z;
      const at::Tensor second = 0.5 * (euler + improved);
      const at::Tensor allowed = (rtol_ * euler.abs().maximum(before.abs())).clamp_min(atol_);
      const PerRow error = PerRow::from(run.rms((euler - second) / allowed)),
                   accept = (error <= 1) * (t > end);
      const PerRow lost = (t > end) * error.map([](double e) { return double(!std::isfinite(e)); });
      // What is not finite ends the sampling, and shows in its rows; the host finds where it began.
      if (lost.any()) return where(lost, x * std::numeric_limits<double>::quiet_NaN(), x);
      x = where(accept, second, x);
      before = where(accept, euler, before);
      t = where(accept, next, t);
      h = dt * safety_ * min(pow(max(error, 1e-6), -exponent_), 1e3);
      run.observe(t, x);
    }
    return denoise_ ? run.model(x, end).x0() : x;
  }

 private:
  /// Backwards in time: -f x + g^2 score.
  static at::Tensor slope(Run& run, const at::Tensor& x, const Times& t) {
    return run.scheduler.g2(t) * run.model(x, t).score() - run.scheduler.f(t) * x;
  }

  double rtol_ = 0.02, atol_ = 0.0078, first_ = 0.01, safety_ = 0.9, exponent_ = 0.9;
  bool denoise_ = true;
};
}  // namespace
SCORELAB_PLUGIN(AdaptiveSde, sampler, "adaptive-sde", "1.0.1",
                "the reverse SDE with adaptive steps, each sample its own")
