#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Ancestral sampling: Ho et al. 2020, algorithm 2; for any Gaussian process by its kernels (VE: Song et al. 2021, equation 47).
class Ancestral final : public Step {
 public:
  void params(Params& p) override {
    p("variance", variance_, "of a step: large is the forward kernel's (beta), small the posterior's").one_of({"large", "small"});
    p.needs("path", "it walks from noise to data");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const auto& q = run.scheduler;
    const auto [alpha, beta] = q.kernel(s, t);
    const PerRow ratio = square(q.sigma(s) / q.sigma(t));
    const at::Tensor x0 = run.model(x, t).x0();
    const at::Tensor mean = (q.alpha(s) * beta / square(q.sigma(t))) * x0 + (alpha * ratio) * x;
    const at::Tensor z = (s > 0) * run.noise.normal(x);  // z = 0 in the last step
    return mean + sqrt(variance_ == "small" ? beta * ratio : beta) * z;
  }

 private:
  std::string variance_ = "large";
};
}  // namespace
SCORELAB_PLUGIN(Ancestral, step, "ancestral", "1.0.0", "the learned reverse chain, one posterior a step")
