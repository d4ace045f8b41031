#include <gtest/gtest.h>
#include <scorelab/metric.h>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

const Affine map{2, 0.5};  // the data's units are others than the model's

/// The error of a score that is exact for another Gaussian than the data's; one dimension each.
class ScoreError : public ::testing::Test {
 protected:
  double measured(const Json& params, std::int64_t count = 40000) {
    const c10::NoGradGuard guard;
    const World w = exact(plugin("scheduler", "vp"), gaussian({own.m}, {own.c}));
    const Law in_data = gaussian({data.m}, {data.c}).mapped(1 / map.scale, -map.shift / map.scale);
    const Json config = plugin("metric", "score-error", params);
    host::check_all(config);
    const auto metric = host::make_as<Metric>(config);
    host::prepare(metric, config, w.setting());
    Noise noise(1, "metric");
    Model model = w.model();
    w.context->counts.reset(count);
    const at::Tensor x0 =
        (data.m + data.c * Noise(3, "x0").normal(at::empty({count, 1}, at::kDouble)) - map.shift) /
        map.scale;
    Measured all{{}, x0, &in_data, noise};
    const DataRange space(map, w.shape);
    all.space = &space;
    all.model = &model;
    return metric->measure(all)[0].value;
  }
  /// E (k x + b)^2 over N(m, s^2): the difference of two Gaussian scores is linear.
  static double squares(double k, double b, double m, double s) {
    return k * k * s * s + (k * m + b) * (k * m + b);
  }

  const Coordinate data{0.3, 0.8}, own{-0.4, 1.1};
};

TEST_F(ScoreError, AgainstTheDataIsTheFisherDivergence) {
  const Point low = vp(1e-3);
  const double v = own.variance(low), k = 1 / (data.c * data.c) - 1 / v,
               b = low.a * own.m / v - data.m / (data.c * data.c);
  const double expected = 0.5 * squares(k, b, data.m, data.c);
  EXPECT_NEAR(measured({{"against", "data"}}) / expected, 1, 0.03);
}

TEST_F(ScoreError, IsMeasuredWhereAGaussianSays) {
  const Point low = vp(1e-3);
  const double v = own.variance(low), k = 1 / (data.c * data.c) - 1 / v,
               b = low.a * own.m / v - data.m / (data.c * data.c);
  const auto at = [&](double center, double spread) {
    return measured({{"against", "data"},
                     {"points", "gaussian"},
                     {"center", Json::array({center})},
                     {"spread", spread}});
  };
  for (const double center : {-3.0, 2.0}) {
    const double m = map.scale * center + map.shift;
    EXPECT_NEAR(at(center, 0) / (0.5 * squares(k, b, m, 0)), 1, 1e-9);
    EXPECT_NEAR(at(center, 1.5) / (0.5 * squares(k, b, m, map.scale * 1.5)), 1, 0.03);
  }
}

TEST_F(ScoreError, DiffusesTheGaussianAlongTheMarginals) {
  double expected = 0;
  for (const double t : {1e-3, 1.0}) {
    const Point p = vp(t);
    const double v = own.variance(p), u = data.variance(p), k = 1 / u - 1 / v,
                 b = p.a * own.m / v - p.a * data.m / u;
    const double m = p.a * (map.scale * 2.0 + map.shift);
    expected += 0.5 * p.b * p.b * squares(k, b, m, p.b);
  }
  EXPECT_NEAR(
      measured(
          {{"points", "gaussian"}, {"center", Json::array({2.0})}, {"spread", 0.0}, {"times", 2}}) /
          expected,
      1, 0.03);
}

TEST_F(ScoreError, WantsACenterOfTheDatasDimensions) {
  EXPECT_THROW(measured({{"points", "gaussian"}, {"center", Json::array({1.0, 2.0})}}, 10), Error);
}

}  // namespace
}  // namespace scorelab::test
