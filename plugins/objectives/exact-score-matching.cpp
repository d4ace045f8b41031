#include <ATen/ATen.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Score matching: Hyvarinen 2005, theorem 1; tr J + |s|^2/2 with the trace by D reverse sweeps
/// through one evaluation.
class ExactScoreMatching final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p("weight", weight_, "of a noise level: unit, or sigma2 (NCSN)").one_of({"unit", "sigma2"});
    p.needs("second-order",
            "its loss holds derivatives of the network, which are differentiated again");
    p.needs("noise", "`weight = \"sigma2\"` is 0 where there is no noise")
        .when("weight", {"sigma2"});
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const Pullback of_score = run.model.pullback(b.x, b.t, Quantity::score);
    const at::Tensor s = of_score.prediction.score();
    at::Tensor total = 0.5 * row_dot(s, s);
    for (std::int64_t d = 0; d < s[0].numel(); ++d) {
      at::Tensor axis = at::zeros_like(b.x);
      axis.flatten(1).select(1, d).fill_(1);
      total = total + of_score(axis).flatten(1).select(1, d);
    }
    return weight_ == "sigma2" ? total * square(run.scheduler.sigma(b.t)) : total;
  }

 private:
  std::string weight_ = "unit";
};
}  // namespace
SCORELAB_PLUGIN(ExactScoreMatching, objective, "exact-score-matching", "1.0.0",
                "score matching with the exact trace, D sweeps a sample")
