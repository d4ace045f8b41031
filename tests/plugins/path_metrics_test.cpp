#include <gtest/gtest.h>
#include <scorelab/metric.h>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

double measured(const World& w, const std::string& name, const Json& params, const Measured& m) {
  const c10::NoGradGuard guard;
  const Json config = plugin("metric", name, params);
  host::check_all(config);
  const auto metric = host::make_as<Metric>(config);
  host::prepare(metric, config, w.setting());
  return metric->measure(m)[0].value;
}

// papers.md, O4: x_u = a_u m + sqrt(v_u/v_t) (x_t - a_t m)
TEST(EndpointError, OfAGaussianFollowsItsMap) {
  const std::vector<double> mean{0.7, -0.2}, std{0.5, 1.3};
  const Law law = gaussian(mean, std);
  const World w = exact(plugin("scheduler", "vp"), law);
  const Affine map{2, 0.5};  // the data's units are others than the model's
  const Law in_data = law.mapped(1 / map.scale, -map.shift / map.scale);
  const Point high = vp(1), low = vp(1e-3);
  const at::Tensor m = row(mean), s2 = row(std).square();
  const at::Tensor vt = high.a * high.a * s2 + high.b * high.b,
                   vu = low.a * low.a * s2 + low.b * low.b;
  const at::Tensor start = w.prior(5), end = low.a * m + (vu / vt).sqrt() * (start - high.a * m);
  const auto data_units = [&](const at::Tensor& x) { return (x - map.shift) / map.scale; };
  Noise noise(1, "metric");
  const auto error = [&](const at::Tensor& last) {
    const Paths paths{at::tensor({1.0, 1e-3}, at::kDouble).unsqueeze(1).expand({2, 5}),
                      at::stack({data_units(start), data_units(last)})};
    Measured all{{}, {}, &in_data, noise};
    const DataRange space(map, w.shape);
    all.space = &space;
    all.paths = &paths;
    return measured(w, "endpoint-error", {{"rtol", 1e-11}}, all);
  };
  EXPECT_LT(error(end), 1e-9);
  EXPECT_NEAR(error(end + 0.3), 0.3 / map.scale, 1e-9);
}

TEST(EndpointError, KnowsFlowsWhoseStartHasNoData) {  // alpha(1) = 0: v_1 = 1
  const Law law = gaussian({0.7}, {0.5});
  const World w = exact(plugin("scheduler", "flow"), law);
  const double t = 0.2, a = 1 - t;
  const at::Tensor start = w.prior(5), end = a * 0.7 + std::sqrt(a * a * 0.25 + t * t) * start;
  const Paths paths{at::tensor({1.0, t}, at::kDouble).unsqueeze(1).expand({2, 5}),
                    at::stack({start, end})};
  Noise noise(1, "metric");
  Measured all{{}, {}, &law, noise};
  all.space = w.parts->space.get();
  all.paths = &paths;
  EXPECT_LT(measured(w, "endpoint-error", {{"rtol", 1e-11}}, all), 1e-9);
  const Paths beyond{at::tensor({1.0, 0.0}, at::kDouble).unsqueeze(1).expand({2, 5}), paths.x};
  all.paths = &beyond;
  EXPECT_THROW(measured(w, "endpoint-error", {}, all), Error);
}

// papers.md, O5: up and down multiply by prod cos^2 of the grid's angles
TEST(ReconstructionError, OfAGaussianFollowsItsAngles) {
  const double s = 0.5;
  const Law law = gaussian({0.0}, {s});
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 1000}}), law);
  for (const int S : {5, 20}) {
    double product = 1, last = 0;   // the angle of clean data is 0
    for (int k = 1; k <= S; ++k) {  // every (1000/S)-th level
      const double abar = [&] {
        double out = 1;
        for (int i = 1; i <= 1000 / S * k; ++i) out *= 1 - (1e-4 + (0.02 - 1e-4) * (i - 1) / 999);
        return out;
      }();
      const double angle = std::atan2(std::sqrt(1 - abar), std::sqrt(abar) * s);
      product *= std::pow(std::cos(angle - last), 2);
      last = angle;
    }
    const at::Tensor x0 = s * Noise(3, "x0").normal(at::empty({50, 1}, at::kDouble));
    w.context->counts.reset(50);
    Model model = w.model();
    Noise noise(1, "metric");
    Measured all{{}, x0, nullptr, noise};
    all.model = &model;
    all.space = w.parts->space.get();
    const double expected = std::pow(1 - product, 2) * x0.square().mean().item<double>();
    EXPECT_NEAR(measured(w, "reconstruction-error", {{"steps", S}}, all), expected,
                1e-10 * expected);
    EXPECT_EQ(w.nfe()[0], 2 * S - 1);
  }
}

}  // namespace
}  // namespace scorelab::test
