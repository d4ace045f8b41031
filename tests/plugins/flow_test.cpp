#include <gmock/gmock.h>

#include "sampling_testing.h"
#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

// Samplers from t = 1, where alpha is 0 and nothing of the data is left in x: the predicted x0 is
// the mean, eps is x.

/// x_u of the probability flow through x at t: papers.md, O4.
double flow_map(const Coordinate& d, Point t, Point u, double x) {
  return u.a * d.m + std::sqrt(d.variance(u) / d.variance(t)) * (x - t.a * d.m);
}

TEST(FlowSampling, TheOdeIsTheClosedMapOfAGaussian) {
  const World w = exact(plugin("scheduler", "flow"), law);
  const at::Tensor x = w.prior(5);
  const auto expected = each(data, x, x, [](const Coordinate& d, double x, double) {
    return flow_map(d, {0, 1}, {0.999, 1e-3}, x);
  });
  expect_close(
      w.sample(plugin("sampler", "pf-ode", {{"solver", "rk45"}, {"rtol", 1e-12}, {"atol", 1e-12}}),
               x),
      expected, 1e-9);
  expect_close(w.sample(plugin("sampler", "pf-ode", {{"solver", "rk4"}, {"steps", 400}}), x),
               expected, 1e-8);
}

TEST(FlowSampling, EulersStepsAreThoseOfTheVelocity) {  // v = eps - x0
  const World w = exact(plugin("scheduler", "flow"), law);
  const at::Tensor x = w.prior(5);
  const Walk walk = flow_walk(10, false);
  expect_close(w.sample(plugin("sampler", "pf-ode", {{"solver", "euler"}, {"steps", 10}}), x),
               solved(data, x, w.noise(), 0, [&](const Coordinate& d, double x, auto&&) {
                 for (std::size_t k = 0; k < 10; ++k) {
                   const Point t = walk.points[k], s = walk.points[k + 1];
                   x += (s.b - t.b) * (d.eps(t, x) - d.x0(t, x));
                 }
                 return x;
               }));
}

TEST(FlowSampling, DdimAndAncestralAreTheirFormulas) {
  const World w = exact(plugin("scheduler", "flow"), law);
  const at::Tensor x = w.prior(5);
  const Walk walk = flow_walk(10);
  // alpha_t^2 sigma_s^2/(alpha_s^2 sigma_t^2) is what eta = 1 keeps of eps (0 from t = 1), the rest
  // of sigma_s^2 is drawn.
  for (const bool ancestral : {false, true})
    for (const double eta : ancestral ? std::vector<double>{1} : std::vector<double>{0, 0.5, 1}) {
      const Json config = ancestral
                              ? plugin("step", "ancestral", {{"variance", "small"}, {"steps", 10}})
                              : plugin("step", "ddim", {{"eta", eta}, {"steps", 10}});
      expect_close(w.sample(config, x),
                   solved(data, x, w.noise().stream("predictor"), 10,
                          [&](const Coordinate& d, double x, auto&& z) {
                            for (std::size_t k = 0; k < 10; ++k) {
                              const Point t = walk.points[k], s = walk.points[k + 1];
                              const double c2 = eta * eta * s.b * s.b *
                                                (1 - std::pow(t.a * s.b / (s.a * t.b), 2));
                              x = s.a * d.x0(t, x) + std::sqrt(s.b * s.b - c2) * d.eps(t, x) +
                                  std::sqrt(c2) * z(k);
                            }
                            return x;
                          }));
    }
}

TEST(FlowSampling, DpmSolverPpTakesItsFirstStepAtFirstOrder) {
  const World w = exact(plugin("scheduler", "flow"), law);
  const at::Tensor x = w.prior(5);
  const Walk walk = flow_walk(10);
  const auto at = [](double lambda) {
    return Point{1 / (1 + std::exp(-lambda)), 1 / (1 + std::exp(lambda))};
  };
  for (const bool single : {false, true}) {
    const at::Tensor y =
        w.sample(plugin("step", "dpm-solver-pp",
                        {{"method", single ? "singlestep" : "multistep"}, {"steps", 10}}),
                 x);
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, single ? 18 : 10));
    expect_close(
        y, solved(data, x, w.noise(), 0, [&](const Coordinate& d, double x, auto&&) {
          double before = 0;
          for (std::size_t k = 0; k < 10; ++k) {
            const Point t = walk.points[k], s = walk.points[k + 1];
            double D = d.x0(t, x);
            const double now = D, h = lambda_of(s) - lambda_of(t);
            if (k > 0 && k < 9 && single) {
              const Point u = at(lambda_of(t) + 0.5 * h);
              D = d.x0(u, u.b / t.b * (x - t.a * D) + u.a * D);
            } else if (k > 1 && k < 9) {  // the step before the second one was infinitely long
              D += (now - before) * h / (2 * (lambda_of(t) - lambda_of(walk.points[k - 1])));
            }
            x = s.b / t.b * (x - t.a * D) + s.a * D;
            before = now;
          }
          return x;
        }));
  }
  for (const Json& params :
       {Json{{"order", 3}}, Json{{"order", 1}, {"sde", true}}, Json{{"sde", true}}}) {
    Json config = plugin("step", "dpm-solver-pp", params);
    config["params"]["steps"] = 400;
    const at::Tensor many = w.prior(20000), y = w.sample(config, many);
    for (std::int64_t d = 0; d < 3; ++d) {
      EXPECT_NEAR(y.select(1, d).mean().item<double>(), data[d].m,
                  5 * data[d].c / std::sqrt(20000.0) + 0.01)
          << params;
      EXPECT_NEAR(y.select(1, d).std().item<double>(), data[d].c,
                  5 * data[d].c / std::sqrt(40000.0) + 0.02)
          << params;
    }
  }
}

TEST(FlowSampling, GridsInTheLogSnrNeedASignalAndSayWhereToBegin) {
  const World w = exact(plugin("scheduler", "flow"), law);
  const at::Tensor x = w.prior(2);
  for (const char* spacing : {"log-snr", "karras"}) {
    const auto config = [&](double from) {
      return plugin("step", "ddim", {{"steps", 5}, {"spacing", spacing}, {"from", from}});
    };
    try {
      w.sample(plugin("step", "ddim", {{"steps", 5}, {"spacing", spacing}}), x);
      ADD_FAILURE() << spacing << " was accepted";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(),
                  testing::HasSubstr("needs alpha above 0, and at 1 it is 0; set `from` below"));
    }
    EXPECT_TRUE(w.sample(config(0.999), x).isfinite().all().item<bool>());
  }
}

TEST(FlowSampling, WithASignalAtItsEndHasEverySampler) {
  const World w = exact(plugin("scheduler", "flow", {{"alpha_min", 0.01}}), law);
  const at::Tensor x = w.prior(5);
  const auto expected = each(data, x, x, [](const Coordinate& d, double x, double) {
    return flow_map(d, {0.01, 0.99}, {0.999, 1e-3}, x);
  });
  for (const Json& config :
       {plugin("step", "unipc", {{"order", 3}, {"steps", 400}, {"to", "t_min"}}),
        plugin("step", "deis", {{"steps", 400}, {"to", "t_min"}, {"spacing", "karras"}}),
        plugin("sampler", "edm-heun", {{"steps", 400}, {"to", "t_min"}, {"spacing", "karras"}})})
    expect_close(w.sample(config, x), expected, 1e-4);
}

}  // namespace
}  // namespace scorelab::test
