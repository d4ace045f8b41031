#include <gtest/gtest.h>

#include "sampling_testing.h"
#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

struct Sde {
  std::string name;
  std::function<Point(double)> at;
  std::function<double(double)> f, g;  // dx = f x dt + g dw
  double low;
};

const std::vector<Sde>& sdes() {
  static const std::vector<Sde> all{
      {"vp", vp, [](double t) { return -0.5 * vp_beta(t); },
       [](double t) { return std::sqrt(vp_beta(t)); }, 1e-3},
      {"ve", ve, [](double) { return 0; },
       [](double t) { return ve(t).b * std::sqrt(2 * std::log(5000.0)); }, 1e-5},
      {"sub-vp",
       [](double t) {
         return Point{vp(t).a, 1 - vp(t).a * vp(t).a};
       },
       [](double t) { return -0.5 * vp_beta(t); },
       [](double t) { return std::sqrt(vp_beta(t) * (1 - std::pow(vp(t).a, 4))); }, 1e-3}};
  return all;
}

/// Roberts 2012, equation 3, with noise that does not depend on x, for the reverse SDE of Song et
/// al. 2021, equation 6.
double heun(const Sde& q, const Coordinate& d, double t, double s, double x, double z) {
  const double h = t - s, dw = std::sqrt(h) * z;
  const auto drift = [&](double u, double x) {
    return -q.f(u) * x + q.g(u) * q.g(u) * d.score(q.at(u), x);
  };
  const double k1 = h * drift(t, x) + q.g(t) * dw, k2 = h * drift(s, x + k1) + q.g(s) * dw;
  return x + 0.5 * (k1 + k2);
}

TEST(StochasticHeun, IsRobertssRecursion) {
  for (const Sde& q : sdes()) {
    SCOPED_TRACE(q.name);
    const World w = exact(plugin("scheduler", q.name), law);
    const at::Tensor x = w.prior(5),
                     y = w.sample(plugin("step", "stochastic-heun", {{"steps", 50}}), x);
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 100));
    const auto times = uniform_times(1, q.low, 50);
    expect_close(y, solved(data, x, w.noise().stream("predictor"), 50,
                           [&](const Coordinate& d, double x, auto&& z) {
                             for (std::size_t k = 0; k < 50; ++k)
                               x = heun(q, d, times[k], times[k + 1], x, z(k));
                             return x;
                           }));
  }
}

TEST(StochasticHeun, HasTheMapOfItsFormula) {
  const Coordinate d{0.7, 0.5};
  for (const Sde& q : sdes()) {
    const World w = exact(plugin("scheduler", q.name), gaussian({d.m}, {d.c}));
    const auto step = host::make_as<Step>(plugin("step", "stochastic-heun"));
    for (const auto& [t, s] :
         std::vector<std::pair<double, double>>{{0.9, 0.85}, {0.3, 0.29}, {0.05, 0.04}}) {
      const Map map = measured(w, *step, t, s);
      const double B = heun(q, d, t, s, 0, 0), A = heun(q, d, t, s, 1, 0) - B,
                   C = heun(q, d, t, s, 0, 1) - B;
      EXPECT_NEAR(map.A, A, 1e-10 * std::max(1.0, std::abs(A))) << q.name;
      EXPECT_NEAR(map.B, B, 1e-10 * std::max(1.0, std::abs(B))) << q.name;
      EXPECT_NEAR(map.C, C, 1e-10 * std::max(1.0, std::abs(C))) << q.name;
    }
  }
}

/// How far mean and variance of N steps from the true law at t = 1 are from the true law at t_min,
/// exactly.
std::pair<double, double> error(const char* sampler, int N) {
  const Coordinate d{0.7, 0.5};
  const Law one = gaussian({d.m}, {d.c});
  const World w = exact(plugin("scheduler", "vp"), one);
  Sampling call =
      sampling(w, one, plugin("step", sampler, {{"steps", N}}), plugin("initial", "marginal"));
  const Moments got = exact_moments(call).moments;
  const Point end = vp(1e-3);
  return {std::abs(got.mean.item<double>() - end.a * d.m),
          std::abs(got.variance.item<double>() - d.variance(end))};
}

TEST(StochasticHeun, IsOfWeakOrder2WhereEulerAndMaruyamaAreOfOrder1) {
  for (const auto& [sampler, expected] :
       std::vector<std::pair<const char*, double>>{{"stochastic-heun", 2}, {"euler-maruyama", 1}}) {
    const auto coarse = error(sampler, 400), fine = error(sampler, 800);
    EXPECT_NEAR(order(coarse.first, fine.first), expected, 0.25)
        << sampler << ": mean, " << coarse.first << " " << fine.first;
    EXPECT_NEAR(order(coarse.second, fine.second), expected, 0.25)
        << sampler << ": variance, " << coarse.second << " " << fine.second;
  }
}

TEST(StochasticHeun, ConvergesStronglyOnOnePath) {  // additive noise: order 1
  World w = exact(plugin("scheduler", "vp"), gaussian({0.7, -1.2}, {0.5, 1.0}));
  const at::Tensor x = w.prior(100);
  const auto distance = [&](bool paths, int N) {
    w.paths = paths;
    const auto end = [&](int steps) {
      return w.sample(
          plugin("step", "stochastic-heun", {{"steps", steps}, {"from", 0.6}, {"to", 0.1}}), x);
    };
    return (end(N) - end(1024)).square().mean().sqrt().item<double>();
  };
  std::vector<double> along;
  for (const int N : {16, 32, 64, 128}) along.push_back(distance(true, N));
  for (int k = 0; k < 3; ++k)
    EXPECT_GE(order(along[k], along[k + 1]), 0.75)
        << "from " << (16 << k) << " steps: " << along[k];
  EXPECT_LT(along[3], 0.05 * distance(false, 128));
}

}  // namespace
}  // namespace scorelab::test
