#include <gtest/gtest.h>

#include <algorithm>

#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

struct Churn {
  double S_churn = 0, S_min = 0, S_max = 1e9, S_noise = 1;
};

/// Karras et al. 2022, algorithm 2, in their own coordinates y = x/alpha and sigma: their D is x0's
/// mean, d = (y - D)/sigma.
template <class Z>
double algorithm2(const Coordinate& d, const std::vector<double>& sigma, double y,
                  const Churn& churn, Z&& z) {
  const auto slope = [&](double y, double s) { return (y - d.x0({1, s}, y)) / s; };
  const std::size_t N = sigma.size() - 1;
  std::size_t draws = 0;
  for (std::size_t i = 0; i < N; ++i) {
    const bool inside = sigma[i] >= churn.S_min && sigma[i] <= churn.S_max;
    const double gamma =
        inside ? std::min(churn.S_churn / static_cast<double>(N), std::sqrt(2.0) - 1) : 0;
    // not above where the process ends
    const double up = std::min(sigma[i] * (1 + gamma), sigma[0]);
    if (gamma > 0) y += std::sqrt(up * up - sigma[i] * sigma[i]) * churn.S_noise * z(draws++);
    const double first = slope(y, up), end = y + (sigma[i + 1] - up) * first;
    y = sigma[i + 1] == 0
            ? end
            : y + (sigma[i + 1] - up) * (0.5 * first + 0.5 * slope(end, sigma[i + 1]));
  }
  return y;
}

Json config(const Churn& churn, int steps, bool clean = true) {
  Json params{{"steps", steps}};
  if (churn.S_churn > 0)
    params.update({{"S_churn", churn.S_churn},
                   {"S_min", churn.S_min},
                   {"S_max", churn.S_max},
                   {"S_noise", churn.S_noise}});
  if (!clean) params["to"] = "t_min";
  return plugin("sampler", "edm-heun", params);
}

TEST(EdmHeun, IsAlgorithm2OnEveryProcess) {
  for (const bool clean : {true, false})
    for (const Walk& walk : walks(20, clean))
      for (const Churn& churn : {Churn{}, Churn{40}, Churn{5, 0.05, 45, 1.007}}) {
        SCOPED_TRACE(walk.name + (clean ? " to 0" : " to t_min") + ", churn " +
                     std::to_string(churn.S_churn));
        const World w = exact(walk.scheduler, law);
        const at::Tensor x = w.prior(5), y = w.sample(config(churn, 20, clean), x);
        EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, clean ? 2 * 20 - 1 : 2 * 20));
        std::vector<double> sigma;
        for (const Point p : walk.points) sigma.push_back(p.b / p.a);
        // Off its levels a discrete process is log-linear in alpha^2, and a step's rho is met to
        // the inverse's rounding.
        expect_close(
            y, solved(data, x, w.noise(), 20, [&](const Coordinate& d, double x, auto&& z) {
              return walk.points.back().a * algorithm2(d, sigma, x / walk.points[0].a, churn, z);
            }));
      }
}

TEST(EdmHeun, HasThePublishedNoiseLevelsOnItsOwnProcess) {  // formulas.md, 2: n = 18, rho = 7
  World w = exact(plugin("scheduler", "edm"), law);
  std::vector<double> sigma;
  w.observe = [&](const Times& t, const at::Tensor&) { sigma.push_back(t.one()); };
  Json karras = config({}, 18);
  karras["params"]["spacing"] = "karras";
  const at::Tensor x = w.prior(5), y = w.sample(karras, x);
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 35));
  const double published[] = {57.586, 40.7856, 28.3746, 19.3525, 12.9101, 8.4009,
                              5.3152, 3.2568,  1.9233,  1.0882,  .5853,   .2964,
                              .1395,  .0599,   .0229,   .0075,   .002,    0};
  ASSERT_EQ(sigma.size(), 18U);
  for (int i = 0; i < 18; ++i)
    EXPECT_NEAR(sigma[i], published[i], 5.1e-5 * std::max(1.0, 10 * published[i]));
  std::vector<double> exact_levels;
  for (int i = 0; i < 18; ++i)
    exact_levels.push_back(std::pow(
        std::pow(80, 1 / 7.0) + i / 17.0 * (std::pow(.002, 1 / 7.0) - std::pow(80, 1 / 7.0)), 7));
  exact_levels.push_back(0);
  expect_close(y, solved(data, x, w.noise(), 0, [&](const Coordinate& d, double x, auto&& z) {
                 return algorithm2(d, exact_levels, x, {}, z);
               }));
}

TEST(EdmHeun, WithoutChurnDrawsNothingAndIsHeunsMethodForTheProbabilityFlow) {
  World w = exact(plugin("scheduler", "edm"), three_modes());
  const at::Tensor x = w.prior(4), y = w.sample(config({}, 12), x);
  // there dx/dt = eps
  expect_close(
      y,
      w.sample(plugin("sampler", "pf-ode", {{"solver", "heun"}, {"steps", 12}, {"to", 0.0}}), x));
  w.seed = 5;
  EXPECT_TRUE(same_bits(w.sample(config({}, 12), x), y));
}

// with S_noise = 1 fresh noise and the flow down keep the marginals
TEST(EdmHeun, ChurnKeepsTheMomentsOfTheData) {
  const World w = exact(plugin("scheduler", "edm"), gaussian({0.7}, {0.5}));
  Json churned = config({30}, 200);
  churned["params"]["spacing"] = "karras";
  const at::Tensor y = w.sample(churned, w.prior(20000));
  EXPECT_NEAR(y.mean().item<double>(), 0.7, 5 * 0.5 / std::sqrt(20000.0) + 1e-3);
  EXPECT_NEAR(y.std().item<double>(), 0.5, 5 * 0.5 / std::sqrt(40000.0) + 1e-3);
}

}  // namespace
}  // namespace scorelab::test
