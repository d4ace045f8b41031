#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <algorithm>

namespace {
using namespace scorelab;

/// DPM-Solver++: Lu et al. 2022b, algorithms 1 and 2 and appendix A. With lambda = log(alpha/sigma)
/// and h = lambda_s - lambda_t, x0 is extrapolated in lambda from earlier steps (multistep, one
/// evaluation a step) or from an evaluation half-way (singlestep, two). `sde` is SDE-DPM-Solver++,
/// the same for the reverse SDE. Steps from and to where h is infinite (no signal left; the clean
/// end) are of first order. 3M has the second derivative of x0 whole; the authors' code has half of
/// it, and order 2.
class DpmSolverPp final : public Step {
 public:
  void params(Params& p) override {
    p("order", order_, "order of convergence, reached once there are as many earlier steps")
        .range(1, 3);
    p("method", method_, "where the slopes of x0 come from: 2M and 3M, or 2S")
        .one_of({"multistep", "singlestep"})
        .when("order", {"2"});
    p("sde", sde_, "adds noise: multistep alone").when("order", {"1", "2"});
    p.needs("path", "it walks from noise to data");
  }
  void check() const override {
    if (order_ == 2 && method_ == "singlestep" && sde_)
      throw Error("`sde` goes with `method = \"multistep\"`");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const auto& q = run.scheduler;
    const PerRow h = q.lambda(s) - q.lambda(t), ratio = q.sigma(s) / q.sigma(t), alpha = q.alpha(s);
    const at::Tensor D0 = run.model(x, t).x0();
    if (!s.any()) return alpha * D0;
    if (order_ == 2 && method_ == "singlestep" && q.alpha(t).any())
      return midpoint(run, x, D0, t, s);
    auto& past = run.memory<Past>();
    const auto order = (past.end - t).any() ? 1 : std::min<std::int64_t>(order_, past.known + 1);
    const at::Tensor D1 = order > 1 ? (D0 - past.x0) / (past.h / h) : at::Tensor();
    at::Tensor y;
    if (sde_ && order_ < 3) {
      const PerRow gone = -expm1(-2 * h);
      y = (ratio * exp(-h)) * x + (alpha * gone) * (order > 1 ? D0 + 0.5 * D1 : D0) +
          (q.sigma(s) * sqrt(gone)) * run.noise.normal(x);
    } else if (order < 3) {
      y = ratio * x - (alpha * expm1(-h)) * (order > 1 ? D0 + 0.5 * D1 : D0);
    } else {
      const PerRow r0 = past.h / h, r1 = past.h_before / h;
      const at::Tensor before = (past.x0 - past.x0_before) / r1, bend = D1 - before;
      y = ratio * x - (alpha * expm1(-h)) * D0 +
          (alpha * (expm1(-h) / h + 1)) * (D1 + (r0 / (r0 + r1)) * bend) -
          (alpha * ((expm1(-h) + h) / square(h) - 0.5)) * (2 * (bend / (r0 + r1)));
    }
    past = {D0, past.x0, h, past.h, s, order == 1 ? 1 : 2};
    return y;
  }

 private:
  struct Past {
    at::Tensor x0, x0_before;
    // the lengths of the steps in lambda, and where the last one ended
    PerRow h, h_before, end = -1;
    std::int64_t known = 0;
  };

  static at::Tensor midpoint(Run& run, const at::Tensor& x, const at::Tensor& D0, const Times& t,
                             const Times& s) {
    const auto& q = run.scheduler;
    const Times middle = PerRow::zip(q.lambda(t), q.lambda(s),
                                     [&q](double a, double b) { return q.t_of(a + (b - a) / 2); });
    const auto to = [&](const Times& end, const at::Tensor& D) {
      return (q.sigma(end) / q.sigma(t)) * x -
             (q.alpha(end) * expm1(q.lambda(t) - q.lambda(end))) * D;
    };
    return to(s, run.model(to(middle, D0), middle).x0());
  }

  std::int64_t order_ = 2;
  std::string method_ = "multistep";
  bool sde_ = false;
};
}  // namespace
SCORELAB_PLUGIN(DpmSolverPp, step, "dpm-solver-pp", "1.0.1", "DPM-Solver++: 2M, 3M, 2S, SDE")
