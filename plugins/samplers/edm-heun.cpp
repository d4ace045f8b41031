#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

#include <algorithm>
#include <cmath>

namespace {
using namespace scorelab;

/// EDM's stochastic sampler: Karras et al. 2022, algorithm 2, in y = x/alpha and rho = sigma/alpha,
/// where every process is theirs: noise is added up to a larger rho, then Heun's step of dy/drho =
/// eps goes down; Euler's at the end, so that n steps cost 2n - 1 evaluations. Noise is never added
/// beyond the process's own end, where a network was not trained. With ever more steps churn is
/// Langevin diffusion of rate S_churn beside the ODE (their equation 6): a step's draw is the
/// increment of its path.
class EdmHeun final : public Sampler {
 public:
  void params(Params& p) override {
    grid_.params(p);
    p("S_churn", churn_,
      "how much noise is added over all steps; 0: none, the deterministic algorithm 1")
        .range(0, 1e6);
    p("S_min", low_, "the least sigma/alpha at which noise is added")
        .range(0, 1e9)
        .above("S_churn", 0);
    p("S_max", high_, "the largest").range(0, 1e9).above("S_churn", 0);
    p("S_noise", noise_, "standard deviation of the added noise").range(0, 10).above("S_churn", 0);
    p.needs("path", "it walks from noise to data");
    p.needs("finite-snr", "sigma/alpha is infinite where alpha is 0");
  }
  double start(const Scheduler& q) const override { return grid_.first(q, true); }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    const auto& q = run.scheduler;
    const auto rho = [&q](double t) { return (q.sigma(t) / q.alpha(t)).one(); };
    const auto grid = grid_.steps(q, true);
    const double gamma = std::min(churn_ / static_cast<double>(grid.size()), std::sqrt(2.0) - 1),
                 top = rho(q.t_max());
    for (const auto& [i, t, s] : grid) {
      double now = t;
      at::Tensor y = x / q.alpha(t);
      if (const double r = rho(t); gamma > 0 && r >= low_ && r <= high_) {
        const double more = std::min(r * (1 + gamma), top);
        now = more < top ? q.t_of(-std::log(more)) : q.t_max();
        y = y +
            std::sqrt(std::max(0.0, more * more - r * r)) * noise_ * run.increments(t, s).normal(x);
      }
      const double h = rho(s) - rho(now);
      const at::Tensor first = run.model(q.alpha(now) * y, now).eps();
      at::Tensor end = y + h * first;
      if (s > 0) end = y + (0.5 * h) * (first + run.model(q.alpha(s) * end, s).eps());
      x = q.alpha(s) * end;
      run.observe(s, x);
    }
    return x;
  }

 private:
  Grid grid_;
  double churn_ = 0, low_ = 0, high_ = 1e9, noise_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(EdmHeun, sampler, "edm-heun", "1.0.1", "EDM's second-order sampler, with churn")
