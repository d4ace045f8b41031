#include <ATen/ATen.h>
#include <scorelab/bound.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// DDPM's losses: Ho et al. 2020. The network predicts what the manifest's `output` says.
///   unit    the mean squared error of what is predicted, that of the network's own output; with
///           eps, L_simple (equation 14); with mean, |mu~ - mu|^2 (table 2)
///   simple  that of eps, whatever is predicted
///   elbo    the terms of the variational bound, in nats, without their constants (equation 8): N
///           |mu~ - mu|^2 / (2 var), summed over the dimensions; averaged over the levels this is
///           the bound's sum. With a learned variance: the whole terms, with it
///   min-snr min(SNR, gamma) times the squared error of x0: Hang et al. 2023, equation 6
/// `vb` adds the bound: Nichol & Dhariwal 2021, equation 16, where a learned variance is all that
/// it teaches; with `vb_mean` the mean too, as in latent diffusion's code, l_simple_weight L_simple
/// + original_elbo_weight L. There is one weight, as Adam's steps depend on the ratio alone; theirs
/// is a mean over levels and dimensions in nats: original_elbo_weight / l_simple_weight = vb T /
/// ln 2.
class Ddpm final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p("weight", weight_,
      "unit: error of what the network itself says (with eps, L_simple; with mean, that of mu~); "
      "simple: error of eps; elbo: the variational bound's terms; min-snr: error of x0 times "
      "min(SNR, gamma)")
        .one_of({"unit", "simple", "elbo", "min-snr"});
    p("gamma", gamma_, "largest weight of the error of x0")
        .range(0, 1e6)
        .when("weight", {"min-snr"});
    p("vb", vb_,
      "weight of the variational bound, in bits per dimension over all levels, that is added; "
      "0.001 in the hybrid loss")
        .range(0, 1e6);
    p("vb_mean", vb_mean_,
      "whether the added bound also trains the mean when the variance is learned; otherwise it "
      "always does")
        .above("vb", 0);
    p("variance", variance_,
      "of the reverse step in the bound, unless it is learned: large is beta, small is the "
      "posterior's")
        .one_of({"large", "small"});
    p.gives("teaches-variance").when("weight", {"elbo"});
    p.gives("teaches-variance").above("vb", 0);
    p.needs("noise", "it learns to remove noise");
    p.needs("levels", "the bound sums over the steps of a discrete process")
        .when("weight", {"elbo"});
    p.needs("path", "the bound sums over the steps of a discrete process").when("weight", {"elbo"});
    p.needs("levels", "the bound sums over the steps of a discrete process").above("vb", 0);
    p.needs("path", "the bound sums over the steps of a discrete process").above("vb", 0);
  }
  void check() const override {
    if (variance_ != "large" && weight_ != "elbo" && vb_ == 0)
      throw Error(
          "`variance` is that of the bound: it has an effect with weight = \"elbo\" or a `vb` "
          "above 0");
  }
  void prepare(const Setting& setting) override {
    bound_ = Bound(setting.parts == 2 ? "learned" : variance_);
    bound_.prepare(setting);
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const Prediction p = run.model(b.x, b.t);
    const at::Tensor main = weighted(run.scheduler, p, b);
    if (vb_ == 0) return main;
    const double bits = static_cast<double>(run.scheduler.levels()) *
                        static_cast<double>(b.x.size(0)) /
                        (static_cast<double>(b.x.numel()) * std::log(2.0));
    const Prediction mean =
        p.learns_variance() && !vb_mean_ ? p.with(p.stated(), p.as(p.stated()).detach()) : p;
    return main + (vb_ * bits) * bound_.term(mean, b.x0, below(run.scheduler, b.t));
  }

 private:
  static Times below(const Scheduler& q, const Times& t) {
    return t.map([&q](double u) { return q.level_below(u); });
  }
  at::Tensor weighted(const Scheduler& q, const Prediction& p, const TrainBatch& b) const {
    const double each = static_cast<double>(b.x.size(0)) / static_cast<double>(b.x.numel());
    if (weight_ == "elbo" && p.learns_variance())
      return static_cast<double>(q.levels()) * bound_.term(p, b.x0, below(q, b.t));
    const at::Tensor error = weight_ == "unit"     ? p.error_of_output(b.x0, b.eps)
                             : weight_ == "simple" ? p.error(Quantity::eps, b.x0, b.eps)
                                                   : p.error(Quantity::x0, b.x0, b.eps);
    const at::Tensor square_of_it = row_dot(error, error);
    if (weight_ == "elbo") return square_of_it * bound_weight(q, b.t);
    if (weight_ == "min-snr")
      return square_of_it * (each * min(square(q.alpha(b.t) / q.sigma(b.t)), gamma_));
    return square_of_it * each;
  }
  /// N A^2 / (2 var): A multiplies x0 in the posterior's mean. The small variance is 0 at the first
  /// level: the next one's stands in.
  PerRow bound_weight(const Scheduler& q, const Times& t) const {
    const Times s = below(q, t);
    const PerRow beta = q.kernel(s, t).sigma2, A = q.alpha(s) * beta / square(q.sigma(t));
    const PerRow var = variance_ == "small" ? q.posterior_variance(s, t) : beta;
    return static_cast<double>(q.levels()) * square(A) / (2.0 * var);
  }

  std::string weight_ = "unit", variance_ = "large";
  double gamma_ = 5, vb_ = 0;
  bool vb_mean_ = false;
  Bound bound_{"large"};
};
}  // namespace
SCORELAB_PLUGIN(Ddpm, objective, "ddpm", "1.1.0",
                "the DDPM losses: L_simple, or the variational bound's terms")
