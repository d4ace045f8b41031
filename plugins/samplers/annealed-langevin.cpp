#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

#include <cmath>
#include <variant>

namespace {
using namespace scorelab;

/// Annealed Langevin dynamics: Song & Ermon 2019, algorithm 1; T steps at each level, a_i = eps
/// sigma_i^2 / sigma_L^2.
class AnnealedLangevin final : public Sampler {
 public:
  void params(Params& p) override {
    p("T", T_, "steps at each level").range(1, 1e6);
    p("eps", eps_,
      "the step size at the last level; auto: NCSNv2's technique 4, which keeps the variance of a "
      "level after T steps")
        .one_of({"auto"})
        .range(1e-12, 1e6);
    p("rule", rule_,
      "whole: x += a s + sqrt(2 a) z, as the authors' image code with their 2e-5; half: x += a/2 s "
      "+ sqrt(a) z, as printed")
        .one_of({"whole", "half"});
    p("denoise", denoise_, "ends with x += sigma_L^2 s at one more evaluation (NCSNv2)");
    p.needs("levels", "it runs through a ladder of noise levels");
  }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    const auto& q = run.scheduler;
    const double N = static_cast<double>(q.levels()), last = q.t_min(),
                 part = rule_ == "half" ? 0.5 : 1;
    const double eps =
        std::holds_alternative<double>(eps_) ? std::get<double>(eps_) : best(q) / part;
    for (std::int64_t i = q.levels(); i >= 1; --i) {
      const double t = static_cast<double>(i) / N,
                   a = eps * square(q.sigma(t) / q.sigma(last)).one();
      for (std::int64_t k = 0; k < T_; ++k)
        x = x + part * a * run.model(x, t).score() + std::sqrt(2 * part * a) * run.noise.normal(x);
      run.observe(t, x);
    }
    return denoise_ ? run.model(x, last).x0() : x;
  }

 private:
  /// Song & Ermon 2020, technique 4: with e = eps/sigma_L^2 and the ratio g of neighbouring levels,
  /// the variance after T steps at a level, in its own, is (1 - e)^(2T) (g^2 - r) + r, r = 2/(2 -
  /// e). The e that brings it nearest to 1, by golden section in log e.
  double best(const Scheduler& q) const {
    const auto N = static_cast<double>(q.levels());
    const double last = q.sigma(q.t_min()).one(),
                 g = q.levels() > 1 ? q.sigma(2 / N).one() / last : 1;
    const auto off = [&](double log_e) {
      const double e = std::exp(log_e), r = 2 / (2 - e);
      return std::abs(std::pow(1 - e, 2 * static_cast<double>(T_)) * (g * g - r) + r - 1);
    };
    const double golden = 0.5 * (std::sqrt(5.0) - 1);
    double a = std::log(1e-8), b = std::log(0.999);
    for (int i = 0; i < 200; ++i) {
      const double c = b - golden * (b - a), d = a + golden * (b - a);
      (off(c) < off(d) ? b : a) = off(c) < off(d) ? d : c;
    }
    return std::exp(0.5 * (a + b)) * last * last;
  }

  std::int64_t T_ = 100;
  NumberOrWord eps_ = 2e-5;
  std::string rule_ = "whole";
  bool denoise_ = false;
};
}  // namespace
SCORELAB_PLUGIN(AnnealedLangevin, sampler, "annealed-langevin", "1.0.0",
                "Langevin dynamics down a ladder of noise levels")
