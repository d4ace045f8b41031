#include <scorelab/plugin.h>
#include <scorelab/rk45.h>
#include <scorelab/sampler.h>

#include <cmath>

namespace {
using namespace scorelab;

/// The probability-flow ODE, dx/dt = velocity: Song et al. 2021, section 4.3. Euler, Heun and RK4
/// on the shared time grid; rk45 is Dormand & Prince's adaptive 5(4) pair, where each sample has
/// its own steps (sample.group: each group).
class PfOde final : public Sampler {
 public:
  void params(Params& p) override {
    p("solver", solver_,
      "order 1, 2 or 4 on the grid, or adaptive: rk45 and dopri5 are one pair, by SciPy's name and "
      "by torchdiffeq's")
        .one_of({"euler", "heun", "rk4", "rk45", "dopri5"});
    grid_.params(p).when("solver", {"euler", "heun", "rk4"});
    p("rtol", rtol_, "relative tolerance of a step")
        .range(1e-13, 1)
        .when("solver", {"rk45", "dopri5"});
    p("atol", atol_, "absolute tolerance of a step")
        .range(1e-13, 1)
        .when("solver", {"rk45", "dopri5"});
    p("first", first_, "first step tried, as a share of the whole")
        .range(1e-6, 1)
        .when("solver", {"rk45", "dopri5"});
    p("denoise", denoise_, "ends with Tweedie's mean, at one more evaluation");
    p.needs("path", "it integrates an ODE from noise to data");
    p.needs("finite-velocity",
            "its slope is infinite where alpha ends at 0 like a root; set `from` below")
        .when("from", {"t_max"});
    p.needs("finite-velocity",
            "its slope is infinite where alpha ends at 0 like a root; take a solver on the grid "
            "and set `from` below")
        .when("solver", {"rk45", "dopri5"});
  }
  double start(const Scheduler& q) const override {
    return adapts() ? q.t_max() : grid_.first(q, false);
  }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    double end = run.scheduler.t_min();
    if (adapts()) {
      x = adaptive(run, x);
    } else {
      for (const auto& [i, t, s] : grid_.steps(run.scheduler, false)) {
        x = step(run, x, t, s);
        run.observe(end = s, x);
      }
    }
    return denoise_ && end > 0 ? run.model(x, end).x0() : x;
  }

 private:
  bool adapts() const { return solver_ == "rk45" || solver_ == "dopri5"; }
  /// A step to s = 0, where there is no velocity, is Euler's.
  at::Tensor step(Run& run, const at::Tensor& x, double t, double s) const {
    const double h = s - t;
    const at::Tensor k1 = run.model(x, t).velocity();
    if (solver_ == "euler" || s == 0) return x + h * k1;
    if (solver_ == "heun") return x + (0.5 * h) * (k1 + run.model(x + h * k1, s).velocity());
    const double middle = 0.5 * (t + s);
    const at::Tensor k2 = run.model(x + (0.5 * h) * k1, middle).velocity();
    const at::Tensor k3 = run.model(x + (0.5 * h) * k2, middle).velocity();
    const at::Tensor k4 = run.model(x + h * k3, s).velocity();
    return x + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4);
  }

  at::Tensor adaptive(Run& run, at::Tensor x) const {
    const double start = run.scheduler.t_max(), end = run.scheduler.t_min();
    Times t(std::vector<double>(x.size(0), start));
    PerRow h = first_ * (start - end);
    at::Tensor k[7] = {run.model(x, t).velocity()};
    while ((t > end).any()) {
      const Times next = max(t - h, end);  // a row that has arrived makes steps of length 0
      Run live = run.rows(t > end);        // and costs no evaluation
      at::Tensor y, error;
      for (int j = 1; j < 7; ++j) {
        y = x;
        for (int i = 0; i < j; ++i) y = y + (rk45::a[j][i] * (next - t)) * k[i];
        k[j] = live.model(y, lerp(t, next, rk45::c[j])).velocity();
      }
      for (int j = 0; j < 7; ++j) {
        const at::Tensor part = (rk45::e[j] * (next - t)) * k[j];
        error = j == 0 ? part : error + part;
      }
      const PerRow err = PerRow::from(run.rms(error / (atol_ + rtol_ * larger(x.abs(), y.abs()))));
      // the host says where it was not finite first
      if (err.map([](double v) { return double(!std::isfinite(v)); }).any()) return y;
      const PerRow accept = err <= 1;
      x = where(accept, y, x);           // y is the fifth-order solution, and
      k[0] = where(accept, k[6], k[0]);  // its slope begins the next step
      t = where(accept, next, t);
      h = h * rk45::stretch(err);
      run.observe(t, x);
    }
    return x;
  }
  static at::Tensor larger(const at::Tensor& a, const at::Tensor& b) { return a.maximum(b); }

  std::string solver_ = "heun";
  Grid grid_;
  double rtol_ = 1e-5, atol_ = 1e-5, first_ = 0.01;
  bool denoise_ = false;
};
}  // namespace
SCORELAB_PLUGIN(PfOde, sampler, "pf-ode", "1.0.0",
                "the probability-flow ODE: Euler, Heun, RK4, adaptive RK45")
