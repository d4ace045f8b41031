#include <gtest/gtest.h>

#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

/// Song, Meng & Ermon 2021, equations 12 and 16, in x/alpha and (sigma/alpha)^2 = (1 - a)/a, so
/// that it holds for any process.
double equation12(const Coordinate& d, Point t, Point s, double x, double z, double eta, bool hat) {
  const double eps = d.eps(t, x), predicted = (x - t.b * eps) / t.a;
  // 1 - a_t/a_s on VP
  const double forward =
      s.a * s.a * (std::pow(t.b / t.a, 2) - std::pow(s.b / s.a, 2)) * std::pow(t.a / s.a, 2);
  const double c = (hat ? 1 : eta) * s.b / t.b * std::sqrt(forward);
  if (s.b == 0) return predicted;
  return s.a * predicted + std::sqrt(std::max(0.0, s.b * s.b - c * c)) * eps +
         (hat ? std::sqrt(forward) : c) * z;
}

Json config(double eta, bool hat, int steps) {
  Json params{{"steps", steps}};
  if (hat) params["sigma"] = "hat";
  if (!hat) params["eta"] = eta;
  return plugin("step", "ddim", params);
}

TEST(Ddim, IsEquation12OnEveryProcess) {
  for (Walk& walk : walks(10)) {
    const World w = exact(walk.scheduler, law);
    const at::Tensor x = w.prior(5);
    for (const bool hat : {false, true})
      for (const double eta : hat ? std::vector<double>{1} : std::vector<double>{0, 0.5, 1}) {
        const auto chain = [&](const Coordinate& d, double x, auto&& z) {
          for (std::size_t k = 0; k + 1 < walk.points.size(); ++k)
            x = equation12(d, walk.points[k], walk.points[k + 1], x, z(k), eta, hat);
          return x;
        };
        SCOPED_TRACE(walk.name + ", eta " + std::to_string(eta) + (hat ? ", hat" : ""));
        expect_close(w.sample(config(eta, hat, 10), x),
                     solved(data, x, w.noise().stream("predictor"), 10, chain));
        EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 10));
      }
  }
}

TEST(Ddim, ForwardVarianceOfTheTestIsThePapersOnAVariancePreservingProcess) {  // 1 - abar_t/abar_s
  const Ddpm process(40, 1e-3, 0.2);
  for (const int t : {2, 20, 40}) {
    const int s = t / 2;
    const Point p = process.at(t), q = process.at(s);
    const double c = std::sqrt((1 - process.abar[s]) / (1 - process.abar[t])) *
                     std::sqrt(1 - process.abar[t] / process.abar[s]);
    const Coordinate d{0.3, 0.7};
    EXPECT_NEAR(equation12(d, p, q, 0.4, 1, 1, false) - equation12(d, p, q, 0.4, 0, 1, false), c,
                1e-12);
  }
}

TEST(Ddim, WithEtaOneIsAncestralSamplingWithTheSmallVariance) {
  for (const Walk& walk : walks(10)) {
    const World w = exact(walk.scheduler, three_modes());
    const at::Tensor x = w.prior(6);
    SCOPED_TRACE(walk.name);
    expect_close(w.sample(config(1, false, 10), x),
                 w.sample(plugin("step", "ancestral", {{"variance", "small"}, {"steps", 10}}), x));
  }
}

TEST(Ddim, HasTheMapOfItsFormulaAndNoNoiseAtTheEnd) {
  const Coordinate d{0.7, 0.5};
  const Ddpm process(100);
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 100}}), gaussian({d.m}, {d.c}));
  for (const auto& [t, s] : std::vector<std::pair<int, int>>{{100, 90}, {30, 29}, {7, 0}})
    for (const double eta : {0.3, 1.0}) {
      const auto step = host::make_as<Step>(plugin("step", "ddim", {{"eta", eta}}));
      const Map map = measured(w, *step, t / 100.0, s / 100.0);
      const double at_0 = equation12(d, process.at(t), process.at(s), 0, 0, eta, false);
      EXPECT_NEAR(map.B, at_0, 1e-10);
      EXPECT_NEAR(map.A, equation12(d, process.at(t), process.at(s), 1, 0, eta, false) - at_0,
                  1e-10);
      EXPECT_NEAR(map.C, equation12(d, process.at(t), process.at(s), 0, 1, eta, false) - at_0,
                  1e-10);
      EXPECT_EQ(map.C == 0, s == 0);
    }
}

TEST(Ddim, WithoutNoiseDrawsNone) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const at::Tensor x = w.prior(3);
  World other = w;
  other.seed = 99;
  EXPECT_TRUE(same_bits(w.sample(config(0, false, 5), x), other.sample(config(0, false, 5), x)));
  EXPECT_FALSE(
      same_bits(w.sample(config(0.1, false, 5), x), other.sample(config(0.1, false, 5), x)));
}

}  // namespace
}  // namespace scorelab::test
