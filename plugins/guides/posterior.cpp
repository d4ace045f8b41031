#include <scorelab/observation.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Linear inverse problems, y = A x_0 + noise: adds the gradient of log p(y | x_t) to the score,
/// with x_0 given x_t taken as Gaussian around its mean x0(x). `pigdm`: Song et al. 2023
/// (pseudoinverse-guided), equation 7, with the variance r_t^2 that x_0 has given x_t where the
/// data are N(mu, s^2), s = `data_std`; the paper's r_t^2 = sigma^2/(alpha^2 + sigma^2) is that of
/// 1. Exact for such data. `dps`: Chung et al. 2023, equation 15: r_t = 0.
class Posterior final : public Guide {
 public:
  void params(Params& p) override {
    observed_.params(p);
    p.needs("finite-snr",
            "it changes the predicted noise, which says nothing of x0 where alpha is 0");
    p("method", method_,
      "what is taken for the variance of x_0 given x_t: that of Gaussian data, or 0")
        .one_of({"pigdm", "dps"});
    p("data_std", data_std_, "standard deviation of the data, in the model's units")
        .range(1e-6, 1e6)
        .when("method", {"pigdm"});
    p("scale", scale_, "of the gradient; 1 is the theory's").range(0, 1e6);
    p.gives("exact-moments");
  }
  void check() const override {
    if (method_ == "dps" && observed_.noise() == 0)
      throw Error(
          "`method` = \"dps\" divides by the observation's variance: `noise` must be above 0");
  }
  void prepare(const Setting& setting) override { observed_.prepare(setting); }
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    const Scheduler& q = run.model.scheduler();
    const PerRow alpha = q.alpha(t), sigma = q.sigma(t);
    const double s2 = data_std_ * data_std_, noise = observed_.noise();
    const PerRow r2 = method_ == "pigdm" ? s2 * square(sigma) / (s2 * square(alpha) + square(sigma))
                                         : PerRow(0.0);
    const PerRow weight = 1.0 / (r2 + noise * noise);
    const at::Tensor& y = observed_.of(run, x);
    const auto residual = [&](const Prediction& p) {
      return weight * (y - observed_.project(p.x0()));
    };
    const auto [p, gradient] = run.model.vjp(x, t, residual, Quantity::x0);
    return p.with(Quantity::eps, p.eps() - scale_ * sigma * gradient);
  }

 private:
  Observation observed_;
  std::string method_ = "pigdm";
  double data_std_ = 1, scale_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Posterior, guide, "posterior", "1.0.0",
                "linear inverse problems: the gradient of log p(y | x_t) joins the score")
