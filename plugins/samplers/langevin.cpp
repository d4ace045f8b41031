#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <cmath>

namespace {
using namespace scorelab;

/// Langevin dynamics at constant t: x += e g + sqrt(2 e) z. As a corrector, e by the
/// signal-to-noise rule: Song et al. 2021, algorithms 4 and 5, e = 2 a (r |z| / |g|)^2; as a
/// sampler at one level, usually a fixed e. The rule's norms are of one sample unless the manifest
/// sets sample.group: in few dimensions a step that depends on its own noise is not Langevin
/// (1/|g|^2 has no mean), so set sample.group there, as the paper's batch means do.
class Langevin final : public Step {
 public:
  void params(Params& p) override {
    p("rule", rule_, "how the step size e is chosen: by the signal-to-noise ratio r, or fixed")
        .one_of({"snr", "fixed"});
    p("snr", snr_, "r: the ratio of the score's to the noise's part of a step")
        .range(1e-6, 100)
        .when("rule", {"snr"});
    p("alpha", alpha_,
      "a of the rule: kernel is 1 - beta, the forward kernel's alpha^2 over one level (the "
      "authors' code; 1 without levels and for VE); marginal is alpha(t)^2; one is 1")
        .one_of({"kernel", "marginal", "one"})
        .when("rule", {"snr"});
    p("eps", eps_, "the step size e").range(1e-12, 1e6).when("rule", {"fixed"});
    p("repeats", repeats_, "Langevin steps in one call").range(1, 1e6);
    p.needs("one-level",
            "alone it stays at one noise level; on a path it is a corrector of predictor-corrector")
        .as("sampler");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times) const override {
    for (std::int64_t k = 0; k < repeats_; ++k) {
      const at::Tensor g = run.model(x, t).score(), z = run.noise.normal(x);
      if (rule_ == "fixed") {
        x = x + eps_ * g + std::sqrt(2 * eps_) * z;
      } else {
        const at::Tensor ratio = snr_ * run.norm(z) / run.norm(g);
        const at::Tensor e = 2.0 * scale(run.scheduler, t) * ratio.square();
        x = x + e * g + (2 * e).sqrt() * z;
      }
    }
    return x;
  }
  bool reaches_zero() const override { return false; }

 private:
  PerRow scale(const Scheduler& q, const Times& t) const {
    if (alpha_ == "one" || (alpha_ == "kernel" && q.levels() < 2)) return 1;
    if (alpha_ == "marginal") return square(q.alpha(t));
    return square(q.kernel(t.map([&q](double u) { return q.level_below(u); }), t).alpha);
  }

  std::string rule_ = "snr", alpha_ = "kernel";
  double snr_ = 0.16, eps_ = 1e-3;
  std::int64_t repeats_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Langevin, step, "langevin", "1.0.0", "Langevin dynamics at constant noise")
