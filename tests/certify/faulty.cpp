// Euler-Maruyama with one fault, which FAULT names: `scorelab certify` must fail the check that
// shows it.
#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

#include <cmath>
#include <random>
#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;
// deterministic by default
constexpr bool asked = fault.ends_with("when-asked") || fault == "says-fresh-noise";

class Faulty final : public Sampler {
 public:
  void params(Params& p) override {
    grid_.params(p);
    p("scale", scale_, fault == "no-text" ? "" : "multiplies the noise")
        .range(0.5, fault == "default-out-of-bounds" ? 0.9 : 2);
    if (asked) p("eta", eta_, "how much noise is added; 0: none, the probability flow").range(0, 1);
    if (fault == "says-fresh-noise") p.gives("fresh-noise").above("eta", 0);
    p.needs("path", "it integrates an SDE");
  }
  double start(const Scheduler& q) const override {
    return fault == "starts-elsewhere" ? q.t_max() : grid_.first(q, false);
  }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    const auto& q = run.scheduler;
    auto steps = grid_.steps(q, false);
    if (fault == "skips-the-first") steps.erase(steps.begin());
    if (fault == "skips-the-last") steps.pop_back();
    std::mt19937 constant(7);
    const double scale = fault == "ignored-parameter" ? 1 : scale_;
    for (const auto& [i, t, s] : steps) {
      const double dt = t - s;
      const PerRow f = q.f(t), g2 = q.g2(t);
      at::Tensor score;
      try {
        score = run.model(x, fault == "asks-at-the-end" ? s : t).score();
        if (fault == "spends-on-batches" && x.size(0) > 1)
          score = 0.5 * (score + run.model(x, t).score());
      } catch (const Stopped&) {
        if (fault != "swallows-stop") throw;
        score = at::zeros_like(x);  // and on it goes
      }
      if (asked) {  // of the family of reverse processes with the same marginals
        x = x - dt * (f * x - (0.5 + 0.5 * eta_ * eta_) * g2 * score);
        if (eta_ > 0) x = x + eta_ * sqrt(g2 * dt) * noise(run, x, t, s, constant);
        run.observe(s, x);
        continue;
      }
      const at::Tensor z = noise(run, x, t, s, constant);
      x = x - dt * (f * x - (fault == "sigma-for-its-square" ? sqrt(g2) : g2) * score) +
          (scale * (fault == "noise-scale"   ? sqrt(g2) * dt
                    : fault == "noise-grows" ? sqrt(g2) * std::pow(dt, 0.25)
                                             : sqrt(g2 * dt))) *
              z;
      if (fault == "couples-rows") x = x - 0.01 * x.mean(0, true);
      if (fault == "not-finite-at-the-end" && s <= q.t_min()) x = x / (s - q.t_min());
      if (fault == "crashes") return *static_cast<at::Tensor*>(nullptr);
      if (fault != "tells-nothing") run.observe(s, x);
    }
    return fault == "wrong-dtype" ? x.to(at::kFloat) : x;
  }

 private:
  at::Tensor noise(Run& run, const at::Tensor& x, double t, double s,
                   std::mt19937& constant) const {
    if (fault.starts_with("off-the-path") || fault == "says-fresh-noise")
      return run.noise.normal(x);
    if (fault == "stream-for-each-step")
      return run.noise.stream("step", std::lround(t / (t - s))).normal(x);
    if (fault == "default-generator") return at::randn_like(x);
    if (fault == "own-generator" || fault == "constant-generator") {
      static std::mt19937 own(3);
      std::normal_distribution<double> normal;
      at::Tensor z = at::empty(x.sizes(), at::kDouble);
      for (std::int64_t i = 0; i < z.numel(); ++i)
        z.data_ptr<double>()[i] = normal(fault == "own-generator" ? own : constant);
      return z.to(x.options());
    }
    if (fault == "state-between-calls") return (1 + 0.001 * calls_++) * run.noise.normal(x);
    return run.increments(t, s).normal(x);
  }

  Grid grid_;
  double scale_ = 1, eta_ = 0;
  mutable int calls_ = 0;
};
}  // namespace
SCORELAB_PLUGIN(Faulty, sampler, FAULT, "0.1.0", "has a fault")
