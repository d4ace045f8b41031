#include <gtest/gtest.h>

#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

/// A step of first order, without lambda: x0 stands still.
double first_order(Point t, Point s, double x, double x0) {
  return s.b / t.b * (x - t.a * x0) + s.a * x0;
}

/// Lu et al. 2022b, algorithm 2: DPM-Solver++(2M).
double algorithm2(const Coordinate& d, const std::vector<Point>& p, double x) {
  double before = 0;
  for (std::size_t i = 1; i < p.size(); ++i) {
    const double x0 = d.x0(p[i - 1], x), h = lambda_of(p[i]) - lambda_of(p[i - 1]);
    double D = x0;
    if (i > 1 && p[i].b > 0) {
      const double r = (lambda_of(p[i - 1]) - lambda_of(p[i - 2])) / h;
      D = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before;
    }
    x = p[i].b == 0 ? x0 : p[i].b / p[i - 1].b * x - p[i].a * (std::exp(-h) - 1) * D;
    before = x0;
  }
  return x;
}

/// Lu et al. 2022b, algorithm 1 with r = 1/2: DPM-Solver++(2S); `middle` is the point half-way in
/// lambda.
template <class F>
double algorithm1(const Coordinate& d, const std::vector<Point>& p, double x, F&& middle) {
  for (std::size_t i = 1; i < p.size(); ++i) {
    const Point t = p[i - 1], s = p[i];
    const double h = lambda_of(s) - lambda_of(t);
    if (s.b == 0) return d.x0(t, x);
    const Point u = middle(0.5 * (lambda_of(s) + lambda_of(t)));
    const double at_u = u.b / t.b * x - u.a * (std::exp(-0.5 * h) - 1) * d.x0(t, x);
    x = s.b / t.b * x - s.a * (std::exp(-h) - 1) * d.x0(u, at_u);
  }
  return x;
}

/// Of third order: the integral of the polynomial through the last three x0, by quadrature.
double third(const Coordinate& d, const std::vector<Point>& p, double x) {
  std::vector<double> lambda, x0;
  for (std::size_t i = 1; i < p.size(); ++i) {
    const Point t = p[i - 1], s = p[i];
    const double h = lambda_of(s) - lambda_of(t);
    lambda.insert(lambda.begin(), lambda_of(t));
    x0.insert(x0.begin(), d.x0(t, x));
    if (lambda.size() > 3) {
      lambda.pop_back();
      x0.pop_back();
    }
    if (s.b == 0) return x0[0];
    if (lambda.size() == 2)  // 2M's
      x = s.b / t.b * x -
          s.a * std::expm1(-h) * (x0[0] + 0.5 * h * (x0[0] - x0[1]) / (lambda[0] - lambda[1]));
    else
      x = through(t, s, x, lambda, x0);
  }
  return x;
}

/// Lu et al. 2022b, section 5 and appendix B: SDE-DPM-Solver++(1) and (2M).
template <class Z>
double sde(const Coordinate& d, const std::vector<Point>& p, double x, int order, Z&& z) {
  double before = 0;
  for (std::size_t i = 1; i < p.size(); ++i) {
    const Point t = p[i - 1], s = p[i];
    const double x0 = d.x0(t, x), h = lambda_of(s) - lambda_of(t), keep = std::exp(-2 * h);
    if (s.b == 0) return x0;
    double D = x0;
    if (order == 2 && i > 1) D += 0.5 * h * (x0 - before) / (lambda_of(t) - lambda_of(p[i - 2]));
    x = s.b / t.b * std::exp(-h) * x + s.a * (1 - keep) * D + s.b * std::sqrt(1 - keep) * z(i - 1);
    before = x0;
  }
  return x;
}

Json config(Json params, int steps, bool clean) {
  params["steps"] = steps;
  if (!clean) params["to"] = "t_min";
  return plugin("step", "dpm-solver-pp", std::move(params));
}

TEST(DpmSolverPp, IsItsAlgorithmsOnEveryProcess) {
  for (const bool clean : {true, false})
    for (const Walk& walk : walks(20, clean)) {
      SCOPED_TRACE(walk.name + (clean ? " to 0" : " to t_min"));
      const World w = exact(walk.scheduler, law);
      const at::Tensor x = w.prior(5);
      const auto expect = [&](const Json& params, auto&& chain) {
        SCOPED_TRACE(params.dump());
        const at::Tensor y = w.sample(config(params, 20, clean), x);
        EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 20));
        expect_close(y, solved(data, x, w.noise().stream("predictor"), 20, chain));
      };
      expect({{"order", 1}}, [&](const Coordinate& d, double x, auto&&) {
        for (std::size_t i = 1; i < walk.points.size(); ++i)
          x = first_order(walk.points[i - 1], walk.points[i], x, d.x0(walk.points[i - 1], x));
        return x;
      });
      expect({{"order", 2}},
             [&](const Coordinate& d, double x, auto&&) { return algorithm2(d, walk.points, x); });
      expect({{"order", 3}},
             [&](const Coordinate& d, double x, auto&&) { return third(d, walk.points, x); });
      for (const int order : {1, 2})
        expect({{"order", order}, {"sde", true}}, [&](const Coordinate& d, double x, auto&& z) {
          return sde(d, walk.points, x, order, z);
        });
    }
}

TEST(DpmSolverPp, SinglestepIsAlgorithm1AtTwoEvaluationsAStep) {
  for (const bool clean : {true, false}) {
    const auto expect = [&](const Walk& walk, auto&& middle) {
      SCOPED_TRACE(walk.name + (clean ? " to 0" : " to t_min"));
      const World w = exact(walk.scheduler, law);
      const at::Tensor x = w.prior(5),
                       y = w.sample(config({{"method", "singlestep"}}, 20, clean), x);
      EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, clean ? 2 * 20 - 1 : 2 * 20));
      const auto chain = [&](const Coordinate& d, double x, auto&&) {
        return algorithm1(d, walk.points, x, middle);
      };
      expect_close(y, solved(data, x, w.noise(), 0, chain), 1e-9);
    };
    const auto preserving = [](double lambda) {
      return Point{1 / std::sqrt(1 + std::exp(-2 * lambda)),
                   1 / std::sqrt(1 + std::exp(2 * lambda))};
    };
    const auto exploding = [](double lambda) { return Point{1, std::exp(-lambda)}; };
    for (const Walk& walk : walks(20, clean))
      if (walk.name == "vp" || walk.name == "ddpm") {
        expect(walk, preserving);
      } else if (walk.name == "ve" || walk.name == "edm") {
        expect(walk, exploding);
      }
  }
}

TEST(DpmSolverPp, FirstOrderIsDdim) {
  for (const Walk& walk : walks(10)) {
    const World w = exact(walk.scheduler, three_modes());
    const at::Tensor x = w.prior(4);
    SCOPED_TRACE(walk.name);
    expect_close(w.sample(config({{"order", 1}}, 10, true), x),
                 w.sample(plugin("step", "ddim", {{"steps", 10}}), x));
  }
}

// SDE-DPM-Solver++(1) is DDIM with eta = 1
TEST(DpmSolverPp, OfFirstOrderWithNoiseIsTheTrueReverseStepOfAPoint) {
  for (const Walk& walk : walks(10)) {
    const World w = exact(walk.scheduler, three_modes());
    const at::Tensor x = w.prior(4);
    SCOPED_TRACE(walk.name);
    expect_close(w.sample(config({{"order", 1}, {"sde", true}}, 10, true), x),
                 w.sample(plugin("step", "ddim", {{"steps", 10}, {"eta", 1.0}}), x));
  }
}

TEST(DpmSolverPp, ASinglestepSolverOfTheSdeIsRefused) {
  EXPECT_THROW(
      host::check_all(plugin("step", "dpm-solver-pp", {{"method", "singlestep"}, {"sde", true}})),
      host::PluginError);
}

}  // namespace
}  // namespace scorelab::test
