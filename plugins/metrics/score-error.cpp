#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

/// How far the model's score is from the exact one, on points of its own law, or where a Gaussian
/// stands in for the data: Song & Ermon 2019, figure 2, is of a score that was never taught where
/// data is rare.
///   marginal: E |s(x_t, t) - grad log p_t(x_t)|^2 / D at times spaced evenly over [t_min, t_max]
///     (the levels, where there are no more of them); the value is the mean over these times of
///     sigma^2 times that, which is the error in eps and has no unit
///   data: the Fisher divergence 1/2 E |s(x, t_min) - grad log p(x)|^2 to the clean data's score
///     (Hyvarinen 2005), on points of the data
class ScoreError final : public Metric {
 public:
  void params(Params& p) override {
    on_model_.params(p);
    p("against", against_,
      "the score of the marginals p_t, or that of the clean data at t_min: the Fisher divergence")
        .one_of({"marginal", "data"});
    p("points", points_,
      "where it is measured: at draws of the data, or of a Gaussian in their place")
        .one_of({"data", "gaussian"});
    p("center", center_, "of the Gaussian: one number for all dimensions, or one each")
        .unit("data")
        .when("points", {"gaussian"});
    p("spread", spread_, "standard deviation of the Gaussian")
        .unit("data")
        .range(0, 1e9)
        .when("points", {"gaussian"});
    p("times", times_, "times at which it is measured")
        .range(1, 100000)
        .when("against", {"marginal"});
    p.needs("affine-space", "the data's law is known in data units");
    p.needs("density", "the exact score is that of its law");
  }
  void prepare(const Setting& setting) override { options_ = setting.options; }
  std::vector<Measurement> measure(const Measured& m) const override {
    if (!m.law) throw Error("the data set states no law, so that there is no exact score");
    const auto& q = m.model->scheduler();
    const at::Tensor x0 = m.space->encode(clean(m), nullptr);
    const Affine map = m.space->expect_affine();
    const Law law = m.law->mapped(map.scale, map.shift);
    const auto zeros = at::zeros({x0.size(0)}, at::kDouble);
    if (against_ == "data") {
      const at::Tensor exact = law.score(x0, zeros + 1, zeros);
      return {{"", 0.5 * squares(*m.model, options_, x0, q.t_min(), exact), "1", "min",
               points_ == "data" ? "Fisher divergence to the data"
                                 : "half the squared error of the score, where a Gaussian says"}};
    }
    const std::int64_t levels = q.levels(), n = levels > 0 ? std::min(levels, times_) : times_;
    std::vector<double> t(n), error(n);
    double total = 0;
    const auto dim = static_cast<double>(x0.numel() / x0.size(0));
    for (std::int64_t i = 0; i < n; ++i) {
      t[i] = time(q, i, n);
      const double alpha = q.alpha(t[i]).one(), sigma = q.sigma(t[i]).one();
      Noise eps = m.noise.stream("eps", i);
      const at::Tensor x = alpha * x0 + sigma * eps.normal(x0);
      error[i] =
          squares(*m.model, options_, x, t[i], law.score(x, zeros + alpha, zeros + sigma)) / dim;
      total += sigma * sigma * error[i] / static_cast<double>(n);
    }
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {{"", total, "1", "min",
             "mean squared error of the model's score times sigma^2, an element"},
            {"by-t", nan, "1", "min", "mean squared error of the model's score, an element",
             Measurement::Array{"t", t, error}}};
  }

 private:
  at::Tensor clean(const Measured& m) const {
    if (points_ == "data") return m.reference.all();
    const auto dims = c10::multiply_integers(m.reference.shape()),
               given = static_cast<std::int64_t>(center_.size());
    if (given != 1 && given != dims)
      throw Error("`center` has " + std::to_string(given) +
                  " numbers; expected one, or one a dimension: " + std::to_string(dims));
    const at::Tensor center =
        at::tensor(center_, at::kDouble).expand({dims}).view(m.reference.shape());
    return center + spread_ * m.noise.stream("points").normal(m.reference.all());
  }
  static double time(const Scheduler& q, std::int64_t i, std::int64_t n) {
    const double share = n == 1 ? 0 : static_cast<double>(i) / static_cast<double>(n - 1),
                 t = q.t_min() + share * (q.t_max() - q.t_min());
    const auto levels = static_cast<double>(q.levels());
    return levels > 0 ? std::max(1.0, std::round(t * levels)) / levels : t;
  }
  /// Mean over the points of the squared distance.
  static double squares(Model& model, const at::TensorOptions& options, const at::Tensor& x,
                        double t, const at::Tensor& exact) {
    const at::Tensor own = model(x.to(options), t).score().to(at::kCPU, at::kDouble);
    return (own - exact).flatten(1).square().sum(1).mean().item<double>();
  }

  at::TensorOptions options_;
  OnModel on_model_;
  std::string against_ = "marginal", points_ = "data";
  std::vector<double> center_{0.0};
  double spread_ = 1;
  std::int64_t times_ = 20;
};
}  // namespace
SCORELAB_PLUGIN(ScoreError, metric, "score-error", "1.1.0",
                "error of the model's score against the exact one")
