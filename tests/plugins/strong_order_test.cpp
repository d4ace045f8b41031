#include <gtest/gtest.h>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

/// The root mean square distance of N steps of Euler and Maruyama to 1024 of them, from one start,
/// where score and noise are smooth.
double distance(World w, bool paths, int N) {
  w.paths = paths;
  const at::Tensor x = w.prior(100);
  const auto end = [&](int steps) {
    return w.sample(
        plugin("step", "euler-maruyama", {{"steps", steps}, {"from", 0.6}, {"to", 0.1}}), x);
  };
  return (end(N) - end(1024)).square().mean().sqrt().item<double>();
}

TEST(Paths, EulerMaruyamaConvergesStronglyOnThemAndNotOnIndependentNoise) {
  // Additive noise: order 1 (Kloeden & Platen 1992, section 10.3), at the least the 1/2 of the
  // general case.
  const World w = exact(plugin("scheduler", "vp"), gaussian({0.7, -1.2}, {0.5, 1.0}));
  std::vector<double> along, apart;
  for (const int N : {16, 32, 64, 128}) {
    along.push_back(distance(w, true, N));
    apart.push_back(distance(w, false, N));
  }
  for (int k = 0; k < 3; ++k)
    EXPECT_GE(order(along[k], along[k + 1]), 0.4) << "from " << (16 << k) << " steps: " << along[k];
  EXPECT_GE(order(along[0], along[3], 8), 0.8);
  for (int k = 0; k < 3; ++k)
    EXPECT_LT(std::abs(order(apart[k], apart[k + 1])), 0.2)
        << "from " << (16 << k) << " steps: " << apart[k];
  EXPECT_LT(along[3], 0.05 * apart[3]);
}

TEST(Paths, AStepsNormalIsTheIncrementOfItsPath) {
  World w = exact(plugin("scheduler", "vp"), gaussian({0.7}, {0.5}));
  w.paths = true;
  const Coordinate d{0.7, 0.5};
  const at::Tensor start = w.prior(5);
  const std::vector<double> times = uniform_times(1, 1e-3, 20);
  const Noise noise = w.noise().stream("predictor");
  at::Tensor x = start;
  for (int k = 0; k < 20; ++k) {
    const double t = times[k], s = times[k + 1], h = t - s, beta = vp_beta(t);
    x = each({d}, x, noise.along(t, s).normal(x), [&](const Coordinate& d, double x, double z) {
      return x + h * (0.5 * beta * x + beta * d.score(vp(t), x)) + std::sqrt(beta * h) * z;
    });
  }
  expect_close(w.sample(plugin("step", "euler-maruyama", {{"steps", 20}}), start), x);
}

TEST(Paths, ACorrectorDrawsAsUsual) {  // t = s: there is no increment
  const World w = exact(plugin("scheduler", "one-level", {{"sigma", 0.3}}), gaussian({0.7}, {0.5}));
  World paths = w;
  paths.paths = true;
  const Json langevin =
      plugin("step", "langevin", {{"rule", "fixed"}, {"eps", 0.02}, {"repeats", 3}, {"steps", 10}});
  const at::Tensor x = w.prior(5);
  EXPECT_TRUE(same_bits(paths.sample(langevin, x), w.sample(langevin, x)));
}

}  // namespace
}  // namespace scorelab::test
