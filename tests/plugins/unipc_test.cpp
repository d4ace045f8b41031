#include <gtest/gtest.h>

#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

/// One update of UniPC, Zhao et al. 2023, section 3: with two and more differences its coefficients
/// make it exact where x0 is a polynomial in lambda through all the nodes; with a single one, a =
/// 1/2 and B(h) = exp(h) - 1 (here of -h: data prediction). Nodes: the start first.
double update(Point t, Point s, double x, const std::vector<double>& lambda,
              const std::vector<double>& x0) {
  const double h = lambda_of(s) - lambda_of(t);
  if (lambda.size() > 2) return through(t, s, x, lambda, x0);
  double D = x0[0];
  if (lambda.size() == 2) D += 0.5 * (x0[1] - x0[0]) * h / (lambda[1] - lambda[0]);
  return s.b / t.b * x + s.a * (1 - std::exp(-h)) * D;
}

/// Algorithms 5 (corrector) and 6 (predictor), each evaluation used twice.
double unipc(const Coordinate& d, const std::vector<Point>& p, double x, std::size_t order,
             bool corrector) {
  std::vector<double> lambda, x0;  // the latest first
  double begin = x;                // where the last step began, corrected
  for (std::size_t i = 1; i < p.size(); ++i) {
    const Point t = p[i - 1];
    const double now = d.x0(t, x);
    if (p[i].b == 0) return now;
    if (corrector && i > 1) {
      auto nodes = lambda, values = x0;
      nodes.push_back(lambda_of(t));
      values.push_back(now);
      x = update(p[i - 2], t, begin, nodes, values);
    }
    lambda.insert(lambda.begin(), lambda_of(t));
    x0.insert(x0.begin(), now);
    if (lambda.size() > order) {
      lambda.pop_back();
      x0.pop_back();
    }
    begin = x;
    x = update(t, p[i], x, lambda, x0);
  }
  return x;
}

TEST(UniPc, IsItsAlgorithmsOnEveryProcess) {
  for (const bool clean : {true, false})
    for (const Walk& walk : walks(20, clean))
      for (const int order : {1, 2, 3})
        for (const bool corrector : {true, false}) {
          SCOPED_TRACE(walk.name + (clean ? " to 0" : " to t_min") + ", order " +
                       std::to_string(order) + (corrector ? ", corrected" : ""));
          const World w = exact(walk.scheduler, law);
          const at::Tensor x = w.prior(5);
          Json config =
              plugin("step", "unipc", {{"order", order}, {"corrector", corrector}, {"steps", 20}});
          if (!clean) config["params"]["to"] = "t_min";
          const at::Tensor y = w.sample(config, x);
          EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 20));
          const auto chain = [&](const Coordinate& d, double x, auto&&) {
            return unipc(d, walk.points, x, order, corrector);
          };
          expect_close(y, solved(data, x, w.noise(), 0, chain));
        }
}

TEST(UniPc, WithoutCorrectionOfOrders1And2IsDpmSolverPp) {
  for (const Walk& walk : walks(10))
    for (const int order : {1, 2}) {
      const World w = exact(walk.scheduler, three_modes());
      const at::Tensor x = w.prior(4);
      SCOPED_TRACE(walk.name);
      expect_close(
          w.sample(plugin("step", "unipc", {{"order", order}, {"corrector", false}, {"steps", 10}}),
                   x),
          w.sample(plugin("step", "dpm-solver-pp", {{"order", order}, {"steps", 10}}), x));
    }
}

}  // namespace
}  // namespace scorelab::test
