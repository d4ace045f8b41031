#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// DDPM's losses: Ho et al. 2020. The network predicts what the manifest's `output` says.
///   unit    the mean squared error of what is predicted; with eps, L_simple (equation 14)
///   simple  that of eps, whatever is predicted
///   elbo    the terms of the variational bound, in nats, without their constants (equation 8): N |mu~ - mu|^2 / (2 var), summed over the
///           dimensions; averaged over the levels this is the bound's sum
class Ddpm final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p("weight", weight_, "unit: error of what is predicted (with eps, L_simple); simple: error of eps; elbo: the variational bound's terms")
        .one_of({"unit", "simple", "elbo"});
    p("variance", variance_, "of the reverse step in the bound: large is beta, small is the posterior's")
        .one_of({"large", "small"})
        .when("weight", {"elbo"});
    p.needs("noise", "it learns to remove noise");
    p.needs("levels", "the bound sums over the steps of a discrete process").when("weight", {"elbo"});
    p.needs("path", "the bound sums over the steps of a discrete process").when("weight", {"elbo"});
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const Prediction p = run.model(b.x, b.t), truth = p.with(Quantity::eps, b.eps);
    if (weight_ != "elbo") {
      const Quantity of = weight_ == "unit" ? p.stated() : Quantity::eps;
      const at::Tensor error = p.as(of) - (of == Quantity::x0 ? b.x0 : truth.as(of));
      return row_dot(error, error) * (1.0 / static_cast<double>(b.x.numel() / b.x.size(0)));
    }
    const at::Tensor error = p.x0() - b.x0;
    return row_dot(error, error) * bound_weight(run.scheduler, b.t);
  }

 private:
  /// N A^2 / (2 var): A multiplies x0 in the posterior's mean. The small variance is 0 at the first level: the next one's stands in.
  PerRow bound_weight(const Scheduler& q, const Times& t) const {
    const auto n = static_cast<double>(q.levels());
    const Times s = t.map([&q](double u) { return q.level_below(u); });
    const PerRow beta = q.kernel(s, t).sigma2, A = q.alpha(s) * beta / square(q.sigma(t));
    PerRow var = beta;
    if (variance_ == "small") {
      const Times above = max(t, 2 / n), below = above.map([&q](double u) { return q.level_below(u); });
      var = q.kernel(below, above).sigma2 * square(q.sigma(below) / q.sigma(above));
    }
    return n * square(A) / (2.0 * var);
  }

  std::string weight_ = "unit", variance_ = "large";
};
}  // namespace
SCORELAB_PLUGIN(Ddpm, objective, "ddpm", "1.0.0", "the DDPM losses: L_simple, or the variational bound's terms")
