#include <scorelab/network.h>
#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <algorithm>
#include <cmath>

namespace {
using namespace scorelab;

/// Ancestral sampling: Ho et al. 2020, algorithm 2; for any Gaussian process by its kernels (VE:
/// Song et al. 2021, equation 47).
class Ancestral final : public Step {
 public:
  void params(Params& p) override {
    p("variance", variance_,
      "of a step: large is the forward kernel's (beta), small the posterior's; analytic: the best "
      "one for the data's law (Bao et al. 2022); learned: what the network says (output.variance)")
        .one_of({"large", "small", "analytic", "learned"});
    p.needs("learned-variance", "it is the network that says it").when("variance", {"learned"});
    p.needs("density", "the best variance is found from the data's law")
        .when("variance", {"analytic"});
    p.needs("path", "it walks from noise to data");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const auto& q = run.scheduler;
    const auto [alpha, beta] = q.kernel(s, t);
    const PerRow ratio = square(q.sigma(s) / q.sigma(t));
    const Prediction p = run.model(x, t);
    const at::Tensor x0 = p.x0();
    const at::Tensor mean = (q.alpha(s) * beta / square(q.sigma(t))) * x0 + (alpha * ratio) * x;
    const at::Tensor z = (s > 0) * run.noise.normal(x);  // z = 0 in the last step
    if (variance_ == "learned") return mean + (0.5 * p.log_variance(s)).exp() * z;
    return mean + sqrt(variance_ == "large"   ? beta
                       : variance_ == "small" ? beta * ratio
                                              : analytic(q, t, s, beta, ratio)) *
                      z;
  }
  void prepare(const Setting& setting) override {
    if (variance_ != "analytic") return;
    if (!setting.law) throw Error("the data set states no law");
    law_ = *setting.law;
    Noise noise(0, "analytic");
    const at::Tensor like = at::empty({points, law_.means.size(1)}, at::kDouble);
    eps_ = noise.normal(like);
    const at::Tensor u = noise.uniform(at::empty({points, 1}, at::kDouble));
    const at::Tensor k =
        (u > law_.weights.cumsum(0).unsqueeze(0)).sum(1).clamp_max(law_.weights.size(0) - 1);
    at::Tensor z = noise.normal(like) * law_.variances.index_select(0, k).sqrt();
    if (law_.bases.defined()) z = law_.bases.index_select(0, k).matmul(z.unsqueeze(-1)).squeeze(-1);
    data_ = law_.means.index_select(0, k) + z;
  }

 private:
  /// Bao et al. 2022, theorem 1, at lambda^2 = the small variance: what the mean misses of x0 comes
  /// back as noise.
  PerRow analytic(const Scheduler& q, const Times& t, const Times& s, const PerRow& beta,
                  const PerRow& ratio) const {
    const PerRow share = PerRow::zip(t, s, [&](double a, double b) {
      const double alpha = q.alpha(a).one(), sigma = q.sigma(a).one();
      const at::Tensor one = at::ones({points}, at::kDouble);
      // What x leaves unknown of x0, a dimension: of a Gaussian, on any axes; else x0 less its mean
      // given x, over the draws. By way of the score it would be the difference of two large
      // numbers where little is left of x0.
      const double r2 = alpha * alpha + sigma * sigma;
      const at::Tensor x = alpha * data_ + sigma * eps_;
      const double x0_variance =
          law_.weights.size(0) == 1
              ? (sigma * sigma * law_.variances / (alpha * alpha * law_.variances + sigma * sigma))
                    .mean()
                    .item<double>()
              : (data_ - (alpha * x - sigma * law_.v(x, alpha * one, sigma * one)) / r2)
                    .square()
                    .mean()
                    .item<double>();
      return x0_variance * std::pow(q.alpha(b).one(), 2);
    });
    return beta * ratio + square(beta / square(q.sigma(t))) * share;
  }

  static constexpr std::int64_t points = 4096;  // draws over which the mean of a mixture is taken
  std::string variance_ = "large";
  Law law_;
  at::Tensor data_, eps_;
};
}  // namespace
SCORELAB_PLUGIN(Ancestral, step, "ancestral", "1.2.0",
                "the learned reverse chain, one posterior a step")
