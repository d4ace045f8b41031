#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

#include <cmath>

namespace {
using namespace scorelab;

/// Annealed Langevin dynamics: Song & Ermon 2019, algorithm 1; T steps at each level, a_i = eps sigma_i^2 / sigma_L^2.
class AnnealedLangevin final : public Sampler {
 public:
  void params(Params& p) override {
    p("T", T_, "steps at each level").range(1, 1e6);
    p("eps", eps_, "the step size at the last level").range(1e-12, 1e6);
    p("rule", rule_, "whole: x += a s + sqrt(2 a) z, as the authors' image code with their 2e-5; half: x += a/2 s + sqrt(a) z, as printed")
        .one_of({"whole", "half"});
    p("denoise", denoise_, "ends with x += sigma_L^2 s at one more evaluation (NCSNv2)");
    p.needs("levels", "it runs through a ladder of noise levels");
  }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    const auto& q = run.scheduler;
    const double N = static_cast<double>(q.levels()), last = q.t_min(), part = rule_ == "half" ? 0.5 : 1;
    for (std::int64_t i = q.levels(); i >= 1; --i) {
      const double t = static_cast<double>(i) / N, a = eps_ * square(q.sigma(t) / q.sigma(last)).one();
      for (std::int64_t k = 0; k < T_; ++k) x = x + part * a * run.model(x, t).score() + std::sqrt(2 * part * a) * run.noise.normal(x);
      run.observe(t, x);
    }
    return denoise_ ? run.model(x, last).x0() : x;
  }

 private:
  std::int64_t T_ = 100;
  double eps_ = 2e-5;
  std::string rule_ = "whole";
  bool denoise_ = false;
};
}  // namespace
SCORELAB_PLUGIN(AnnealedLangevin, sampler, "annealed-langevin", "1.0.0", "Langevin dynamics down a ladder of noise levels")
