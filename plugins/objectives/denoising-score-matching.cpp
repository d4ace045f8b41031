#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Denoising score matching: Vincent 2011; over levels, Song & Ermon 2019, equation 5; in
/// continuous time, Song et al. 2021, equation 7. The loss of a sample is lambda/2 |s +
/// eps/sigma|^2, summed over the dimensions.
class DenoisingScoreMatching final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p("weight", weight_,
      "lambda: sigma2 (NCSN), unit, or likelihood: g^2 (Song et al. 2021, Durkan & Song 2021)")
        .one_of({"sigma2", "unit", "likelihood"});
    p.needs("noise", "it denoises: where sigma = 0 there is nothing to learn");
    p.needs("path", "g is the diffusion of a process").when("weight", {"likelihood"});
    p.needs("finite-snr", "g is infinite where alpha is 0").when("weight", {"likelihood"});
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor error = run.model(b.x, b.t).eps() - b.eps;  // -sigma (s + eps/sigma)
    const at::Tensor half = 0.5 * row_dot(error, error);
    if (weight_ == "sigma2") return half;
    const PerRow sigma2 = square(run.scheduler.sigma(b.t));
    return weight_ == "unit" ? half / sigma2 : half * (run.scheduler.g2(b.t) / sigma2);
  }

 private:
  std::string weight_ = "sigma2";
};
}  // namespace
SCORELAB_PLUGIN(DenoisingScoreMatching, objective, "denoising-score-matching", "1.0.0",
                "denoising score matching")
