#include <ATen/ATen.h>
#include <scorelab/network.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Explicit score matching: Vincent 2011, section 2.2; |s - grad log p_t|^2/2 against the known
/// score of the data's law at the same t. What every other score-matching loss stands in for.
class ExplicitScoreMatching final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p("weight", weight_, "of a noise level: unit, or sigma2 (NCSN)").one_of({"unit", "sigma2"});
    p.needs("density", "the score to learn is that of its law");
    p.needs("noise", "`weight = \"sigma2\"` is 0 where there is no noise")
        .when("weight", {"sigma2"});
  }
  void prepare(const Setting& setting) override {
    if (!setting.law) throw Error("the data set states no law, so that there is no score to learn");
    law_ = setting.law->like(at::empty({0}, setting.options));
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const auto& q = run.scheduler;
    const auto options = b.x.options().requires_grad(false);
    const at::Tensor known = law_.score(b.x, q.alpha(b.t).vector(b.x.size(0), options),
                                        q.sigma(b.t).vector(b.x.size(0), options));
    const at::Tensor error = run.model(b.x, b.t).score() - known;
    const at::Tensor half = 0.5 * row_dot(error, error);
    return weight_ == "sigma2" ? half * square(q.sigma(b.t)) : half;
  }

 private:
  std::string weight_ = "unit";
  Law law_;
};
}  // namespace
SCORELAB_PLUGIN(ExplicitScoreMatching, objective, "explicit-score-matching", "1.0.0",
                "the squared distance to the known score")
