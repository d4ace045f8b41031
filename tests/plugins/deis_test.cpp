#include <gtest/gtest.h>

#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

/// Zhang & Chen 2023, proposition 2 and rho-AB: y = x/alpha, dy/drho = eps, eps a polynomial in rho
/// through the last evaluations.
double rho_ab(const Coordinate& d, const std::vector<Point>& p, double x, std::size_t order) {
  std::vector<double> rho, eps;  // the latest first
  for (std::size_t i = 1; i < p.size(); ++i) {
    rho.insert(rho.begin(), p[i - 1].b / p[i - 1].a);
    eps.insert(eps.begin(), d.eps(p[i - 1], x));
    if (rho.size() > order) {
      rho.pop_back();
      eps.pop_back();
    }
    const double change = integral(
        rho[0], p[i].b / p[i].a, [&](double u) { return lagrange(rho, eps, u); }, 3);
    x = p[i].a * (x / p[i - 1].a + change);
  }
  return x;
}

TEST(Deis, IsTheIntegralOfThePolynomialThroughItsEvaluations) {
  for (const bool clean : {true, false})
    for (const Walk& walk : walks(20, clean))
      for (const int order : {1, 2, 3, 4}) {
        SCOPED_TRACE(walk.name + (clean ? " to 0" : " to t_min") + ", order " +
                     std::to_string(order));
        const World w = exact(walk.scheduler, law);
        const at::Tensor x = w.prior(5);
        Json config = plugin("step", "deis", {{"order", order}, {"steps", 20}});
        if (!clean) config["params"]["to"] = "t_min";
        const at::Tensor y = w.sample(config, x);
        EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 20));
        const auto chain = [&](const Coordinate& d, double x, auto&&) {
          return rho_ab(d, walk.points, x, order);
        };
        expect_close(y, solved(data, x, w.noise(), 0, chain));
      }
}

TEST(Deis, OfOrder1IsDdim) {
  for (const Walk& walk : walks(10)) {
    const World w = exact(walk.scheduler, three_modes());
    const at::Tensor x = w.prior(4);
    SCOPED_TRACE(walk.name);
    expect_close(w.sample(plugin("step", "deis", {{"order", 1}, {"steps", 10}}), x),
                 w.sample(plugin("step", "ddim", {{"steps", 10}}), x));
  }
}

}  // namespace
}  // namespace scorelab::test
