#include <scorelab/objective.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// Sliced score matching: Song, Garg, Shi & Ermon 2019. The loss of a sample is the mean over
/// projections v of v^T J v + (v^T s)^2 / 2 (equation 7), or with variance reduction v^T J v +
/// |s|^2 / 2 (equation 8); sums run over all dimensions. Needs a network that can be differentiated
/// twice.
class SlicedScoreMatching final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p("projections", projections_, "directions v for each sample").range(1, 10000);
    p("law", law_, "of v; unit-norm scales both terms by 1/D, as the authors' code does")
        .one_of({"rademacher", "gaussian", "unit-norm"});
    p("variance_reduced", variance_reduced_, "integrates (v^T s)^2 in closed form: SSM-VR")
        .when("law", {"rademacher", "gaussian"});
    p("weight", weight_, "of a noise level: unit, or sigma2 (NCSN, appendix)")
        .one_of({"unit", "sigma2"});
    p.needs("second-order",
            "its loss holds a derivative of the network, which is differentiated again");
    p.needs("noise", "`weight = \"sigma2\"` is 0 where there is no noise")
        .when("weight", {"sigma2"});
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const Pullback pullback = run.model.pullback(b.x, b.t, Quantity::score);
    const at::Tensor s = pullback.prediction.score();
    at::Tensor total;
    for (std::int64_t m = 0; m < projections_; ++m) {
      const at::Tensor v = direction(run.noise, b.x);
      const at::Tensor square = variance_reduced_ ? row_dot(s, s) : row_dot(v, s).square();
      const at::Tensor J = row_dot(pullback(v), v) + 0.5 * square;
      total = total.defined() ? total + J : J;
    }
    total = total * (1.0 / static_cast<double>(projections_));
    return weight_ == "sigma2" ? total * square(run.scheduler.sigma(b.t)) : total;
  }

 private:
  at::Tensor direction(Noise& noise, const at::Tensor& x) const {
    if (law_ == "rademacher") return noise.sign(x);
    const at::Tensor v = noise.normal(x);
    if (law_ == "gaussian") return v;
    std::vector<std::int64_t> column(x.dim(), 1);
    column[0] = x.size(0);
    return v / row_dot(v, v).sqrt().view(column);
  }

  std::int64_t projections_ = 1;
  std::string law_ = "rademacher", weight_ = "unit";
  bool variance_reduced_ = false;
};
}  // namespace
SCORELAB_PLUGIN(SlicedScoreMatching, objective, "sliced-score-matching", "1.1.0",
                "sliced score matching, with or without variance reduction")
