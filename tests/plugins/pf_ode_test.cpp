#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

using Point2 = std::array<double, 2>;

/// The probability-flow ODE of VP on three isotropic modes, in plain doubles: dx/dt = -beta/2 (x +
/// score).
Point2 velocity(double t, Point2 x) {
  static constexpr double weight[] = {0.5, 0.2, 0.3},
                          mean[][2] = {{1.0, 0.5}, {-1.2, 0.3}, {0.2, -1.0}},
                          variance[] = {0.16, 0.25, 0.09};
  const Point p = vp(t);
  double total = 0;
  Point2 pull{};
  for (int k = 0; k < 3; ++k) {
    const double v = p.a * p.a * variance[k] + p.b * p.b, dx = x[0] - p.a * mean[k][0],
                 dy = x[1] - p.a * mean[k][1];
    const double density = weight[k] * std::exp(-(dx * dx + dy * dy) / (2 * v)) / v;
    total += density;
    pull = {pull[0] - density * dx / v, pull[1] - density * dy / v};
  }
  return {-0.5 * vp_beta(t) * (x[0] + pull[0] / total),
          -0.5 * vp_beta(t) * (x[1] + pull[1] / total)};
}

/// Classical Runge-Kutta, many steps.
at::Tensor reference(const at::Tensor& start, int steps) {
  at::Tensor out = start.clone();
  auto rows = out.accessor<double, 2>();
  const auto times = uniform_times(1, 1e-3, steps);
  for (std::int64_t r = 0; r < out.size(0); ++r) {
    Point2 x{rows[r][0], rows[r][1]};
    for (int i = 0; i < steps; ++i) {
      const double t = times[i], h = times[i + 1] - t;
      const auto at = [&x](const Point2& k, double c) {
        return Point2{x[0] + c * k[0], x[1] + c * k[1]};
      };
      const Point2 k1 = velocity(t, x), k2 = velocity(t + h / 2, at(k1, h / 2)),
                   k3 = velocity(t + h / 2, at(k2, h / 2)), k4 = velocity(t + h, at(k3, h));
      for (int d = 0; d < 2; ++d) x[d] += h / 6 * (k1[d] + 2 * k2[d] + 2 * k3[d] + k4[d]);
    }
    rows[r][0] = x[0];
    rows[r][1] = x[1];
  }
  return out;
}

double rms(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).square().mean().sqrt().item<double>();
}

Json solver(const char* name, int steps) {
  return plugin("sampler", "pf-ode", {{"solver", name}, {"steps", steps}});
}
Json rk45(double tolerance, double first = 0.01) {
  return plugin("sampler", "pf-ode",
                {{"solver", "rk45"}, {"rtol", tolerance}, {"atol", tolerance}, {"first", first}});
}

TEST(PfOde, SolversHaveOrders1And2And4OnAMixture) {
  const World w = exact(plugin("scheduler", "vp"), three_modes());
  const at::Tensor x = w.prior(40), truth = reference(x, 20000);
  EXPECT_LT(rms(reference(x, 10000), truth), 1e-12);
  struct Case {
    const char* name;
    int steps, evaluations;
    double order;
  };
  for (const Case& c :
       {Case{"euler", 800, 1, 1}, Case{"heun", 400, 2, 2}, Case{"rk4", 200, 4, 4}}) {
    const double coarse = rms(w.sample(solver(c.name, c.steps), x), truth),
                 fine = rms(w.sample(solver(c.name, 2 * c.steps), x), truth);
    EXPECT_NEAR(order(coarse, fine), c.order, 0.15) << c.name << " " << coarse << " " << fine;
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(40, 2 * c.steps * c.evaluations)) << c.name;
  }
}

TEST(PfOde, TheErrorOfRk45FallsWithItsTolerance) {
  const World w = exact(plugin("scheduler", "vp"), three_modes());
  const at::Tensor x = w.prior(40), truth = reference(x, 20000);
  double last = 1;
  for (const double tolerance : {1e-4, 1e-6, 1e-8, 1e-10, 1e-12}) {
    const double error = rms(w.sample(rk45(tolerance), x), truth);
    EXPECT_LT(error, 20 * tolerance);  // papers.md, O11
    EXPECT_LT(error, last / 10) << "from tolerance " << tolerance * 100 << " to " << tolerance;
    last = error;
  }
}

TEST(PfOde, IsTheClosedMapOfAGaussian) {  // papers.md, O4: x_u = a_u m + sqrt(v_u/v_t)(x_t - a_t m)
  const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
  for (const char* name : {"vp", "ve"}) {
    const bool is_vp = name == std::string("vp");
    const Point from = is_vp ? vp(1) : ve(1), to = is_vp ? vp(1e-3) : ve(1e-5);
    const World w = exact(plugin("scheduler", name), gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0}));
    const at::Tensor x = w.prior(5);
    const auto map = [&](const Coordinate& d, double x, double) {
      return to.a * d.m + std::sqrt(d.variance(to) / d.variance(from)) * (x - from.a * d.m);
    };
    expect_close(w.sample(rk45(1e-12), x), each(data, x, x, map), 1e-9);
  }
}

TEST(PfOde, DenoiseEndsWithTweediesMeanAtOneMoreEvaluation) {
  const World w = exact(plugin("scheduler", "vp"), gaussian({0.7, -1.2}, {0.5, 1.0}));
  const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}};
  for (const char* name : {"heun", "rk45"}) {
    Json config = plugin("sampler", "pf-ode", {{"solver", name}});
    if (name == std::string("heun")) config["params"]["steps"] = 20;
    const at::Tensor x = w.prior(1), end = w.sample(config, x);
    const std::int64_t cost = w.nfe()[0];
    config["params"]["denoise"] = true;
    expect_close(w.sample(config, x),
                 each(data, end, end,
                      [](const Coordinate& d, double x, double) { return d.x0(vp(1e-3), x); }));
    EXPECT_EQ(w.nfe()[0], cost + 1);
  }
}

TEST(PfOde, AStepToZeroIsEulersAndCostsOneEvaluation) {
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 50}}), three_modes());
  for (const auto& [name, cost] : std::vector<std::pair<const char*, std::int64_t>>{
           {"euler", 50}, {"heun", 2 * 50 - 1}, {"rk4", 4 * 50 - 3}}) {
    w.sample(plugin("sampler", "pf-ode", {{"solver", name}, {"to", 0.0}}), w.prior(3));
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(3, cost)) << name;
  }
}

TEST(PfOde, Rk45CostsOneEvaluationAndSixAnAttemptOfEachRow) {
  World w = exact(plugin("scheduler", "vp"), three_modes());
  const at::Tensor x = w.prior(12);
  for (const double first : {0.01, 0.9}) {
    std::vector<std::int64_t> attempts(12, 0), rejections(12, 0);
    std::vector<double> before(12, 1.0);
    w.observe = [&](const Times& t, const at::Tensor&) {
      for (std::size_t r = 0; r < 12; ++r) {
        if (before[r] <= 1e-3) continue;  // had arrived
        ++attempts[r];
        rejections[r] += t[r] == before[r];
        before[r] = t[r];
      }
    };
    w.sample(rk45(1e-5, first), x);
    for (std::size_t r = 0; r < 12; ++r) {
      EXPECT_EQ(w.nfe()[r], 1 + 6 * attempts[r]);
      if (first == 0.9) {
        EXPECT_GT(rejections[r], 0);
      }
    }
    EXPECT_NE(*std::min_element(attempts.begin(), attempts.end()),
              *std::max_element(attempts.begin(), attempts.end()));
  }
}

TEST(PfOde, ARowTakesItsOwnStepsWhateverItsNeighboursDo) {
  World w = exact(plugin("scheduler", "vp"), three_modes());
  const at::Tensor x = w.prior(8), together = w.sample(rk45(1e-5, 0.5), x);
  const auto cost = w.nfe();
  for (std::int64_t r = 0; r < 8; ++r) {
    EXPECT_TRUE(same_bits(w.sample(rk45(1e-5, 0.5), x.narrow(0, r, 1)), together.narrow(0, r, 1)))
        << "row " << r;
    EXPECT_EQ(w.nfe()[0], cost[static_cast<std::size_t>(r)]);
  }
}

TEST(PfOde, Dopri5IsRk45ByItsOtherName) {
  const World w = exact(plugin("scheduler", "vp"), three_modes());
  const at::Tensor x = w.prior(5);
  EXPECT_TRUE(same_bits(w.sample(plugin("sampler", "pf-ode", {{"solver", "dopri5"}}), x),
                        w.sample(plugin("sampler", "pf-ode", {{"solver", "rk45"}}), x)));
}

/// Answers no number.
class Nothing final : public Network {
 public:
  at::Tensor forward(const Input& in) override { return in.x / 0.0 - in.x / 0.0; }
};

TEST(PfOde, AnAdaptiveSolveEndsWhereTheModelIsNotFinite) {
  const World w = world(plugin("scheduler", "vp"), std::make_shared<Nothing>(), {2});
  EXPECT_TRUE(w.sample(plugin("sampler", "pf-ode", {{"solver", "rk45"}}), w.prior(2))
                  .isnan()
                  .any()
                  .item<bool>());
  EXPECT_LE(w.nfe()[0], 7);
}

}  // namespace
}  // namespace scorelab::test
