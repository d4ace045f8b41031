#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// DDIM: Song, Meng & Ermon 2021, equation 12, for any Gaussian process by its alpha and sigma. eta
/// scales the standard deviation of the ancestral step's small variance: 0 is deterministic, 1 is
/// ancestral sampling. `hat` is the paper's sigma-hat (table 1): the mean of eta = 1 under the
/// forward kernel's noise.
class Ddim final : public Step {
 public:
  void params(Params& p) override {
    p("eta", eta_, "how much of the ancestral noise is added").range(0, 1).when("sigma", {"eta"});
    p("sigma", sigma_, "of the noise: by eta, or the larger sigma-hat").one_of({"eta", "hat"});
    p.needs("path", "it walks from noise to data");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const auto& q = run.scheduler;
    const Prediction said = run.model(x, t);
    const PerRow beta = q.kernel(s, t).sigma2, small = beta * square(q.sigma(s) / q.sigma(t));
    const bool hat = sigma_ == "hat";
    const PerRow c2 = hat ? small : eta_ * eta_ * small;
    const at::Tensor mean =
        q.alpha(s) * said.x0() + sqrt(max(square(q.sigma(s)) - c2, 0)) * said.eps();
    if (!hat && eta_ == 0) return mean;
    const at::Tensor z = (s > 0) * run.noise.normal(x);  // the last step is the mean
    return mean + sqrt(hat ? beta : c2) * z;
  }

 private:
  double eta_ = 0;
  std::string sigma_ = "eta";
};
}  // namespace
SCORELAB_PLUGIN(Ddim, step, "ddim", "1.0.0", "denoising diffusion implicit models")
