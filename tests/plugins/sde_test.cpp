#include <gtest/gtest.h>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

/// Song et al. 2021, equation 6, by Euler and Maruyama: drift - g^2 score, backwards.
at::Tensor reverse_sde(const std::vector<double>& times, Point (*process)(double),
                       double (*f)(double), double (*g2)(double), at::Tensor x, Noise noise) {
  for (std::size_t k = 0; k + 1 < times.size(); ++k) {
    const double t = times[k], h = t - times[k + 1];
    x = each(data, x, noise.normal(x), [&](const Coordinate& d, double x, double z) {
      return x - (f(t) * x - g2(t) * d.score(process(t), x)) * h + std::sqrt(g2(t) * h) * z;
    });
  }
  return x;
}

double vp_f(double t) { return -0.5 * vp_beta(t); }
double ve_f(double) { return 0; }
double ve_g2(double t) { return 2 * std::log(5000.0) * std::pow(ve(t).b, 2); }

TEST(EulerMaruyama, IsTheReverseSdeOfVpDownToTMin) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const at::Tensor x = w.prior(5);
  expect_close(w.sample(plugin("step", "euler-maruyama", {{"steps", 100}}), x),
               reverse_sde(uniform_times(1, 1e-3, 100), vp, vp_f, vp_beta, x,
                           w.noise().stream("predictor")));
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 100));
}

TEST(EulerMaruyama, IsTheReverseSdeOfVeDownToTMin) {
  const World w = exact(plugin("scheduler", "ve"), law);
  const at::Tensor x = w.prior(5);
  expect_close(
      w.sample(plugin("step", "euler-maruyama", {{"steps", 300}}), x),
      reverse_sde(uniform_times(1, 1e-5, 300), ve, ve_f, ve_g2, x, w.noise().stream("predictor")));
}

TEST(EulerMaruyama, DenoiseEndsWithTweediesMeanAtOneMoreEvaluation) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const at::Tensor x = w.prior(5);
  const at::Tensor end = w.sample(plugin("step", "euler-maruyama", {{"steps", 50}}), x);
  const at::Tensor mean =
      each(data, end, end, [](const Coordinate& d, double x, double) { return d.x0(vp(1e-3), x); });
  expect_close(w.sample(plugin("step", "euler-maruyama", {{"steps", 50}, {"denoise", true}}), x),
               mean);
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 51));
}

/// The variance at t_min after N steps from the exact law at t = 1, by the measured maps.
double variance_after(const World& w, const Step& step, const Coordinate& d, int N) {
  const std::vector<double> times = uniform_times(1, 1e-3, N);
  double variance = d.variance(vp(1));
  for (int k = 0; k < N; ++k) {
    const Map map = measured(w, step, times[k], times[k + 1]);
    variance = map.A * map.A * variance + map.C * map.C;
  }
  return variance;
}

// papers.md, O11: 1.02, 1.01, 1.00 for N = 250 .. 2000
TEST(EulerMaruyama, HasWeakOrderOneOnAGaussian) {
  const Coordinate d{0.7, 0.5};
  const World w = exact(plugin("scheduler", "vp"), gaussian({d.m}, {d.c}));
  const auto step = host::make_as<Step>(plugin("step", "euler-maruyama"));
  const double truth = d.variance(vp(1e-3));
  EXPECT_NEAR(truth, 0.25008246, 5e-9);
  std::vector<double> errors;
  for (const int N : {250, 500, 1000})
    errors.push_back(std::abs(variance_after(w, *step, d, N) - truth));
  EXPECT_NEAR(order(errors[0], errors[1]), 1.02, 0.01);
  EXPECT_NEAR(order(errors[1], errors[2]), 1.01, 0.01);
}

/// The score-SDE code's times: linspace(1, 1e-3, N), and 0 for the step that leaves the last.
std::vector<double> linspace_and_0(int N) {
  std::vector<double> times = uniform_times(1, 1e-3, N - 1);
  times.back() = 1e-3;  // rounding must not leave the process
  times.push_back(0);
  return times;
}

// papers.md, O11 at lam = 1: c = 1 + h(beta/2 - beta/v), V' = c^2 V + h beta
TEST(EulerMaruyama, TakesTheStepsOfTheScoreSdeCode) {
  const Coordinate d{0.7, 0.5};
  const World w = exact(plugin("scheduler", "vp"), gaussian({d.m}, {d.c}));
  for (const int N : {20, 1000}) {
    const double h = 1.0 / N;
    const auto step = host::make_as<Step>(plugin("step", "euler-maruyama", {{"dt", h}}));
    const std::vector<double> times = linspace_and_0(N);
    double V = d.variance(vp(1)), ours = V;
    for (int k = 0; k < N; ++k) {
      const double t = times[k], beta = vp_beta(t),
                   c = 1 + h * (beta / 2 - beta / d.variance(vp(t)));
      V = c * c * V + (k == N - 1 ? 0 : h * beta);  // the mean of the last step
      const Map map = measured(w, *step, t, times[k + 1]);
      ours = map.A * map.A * ours + map.C * map.C;
      EXPECT_NEAR(map.A, c, 1e-10);
    }
    EXPECT_NEAR(ours, V, 1e-10);
  }
}

TEST(EulerMaruyama, WalksTheTimesOfTheScoreSdeCode) {
  const int N = 50;
  World w = exact(plugin("scheduler", "vp"), law);
  std::vector<double> asked;
  w.context->look = [&](const at::Tensor&, const Times& t, const at::Tensor&) {
    asked.push_back(t.one());
  };
  const at::Tensor x = w.prior(5),
                   got = w.sample(plugin("step", "euler-maruyama", {{"steps", N}, {"dt", 1.0 / N}}),
                                  x);
  const std::vector<double> times = linspace_and_0(N);
  ASSERT_EQ(asked.size(), static_cast<std::size_t>(N));
  at::Tensor y = x;
  Noise noise = w.noise().stream("predictor");
  for (int k = 0; k < N; ++k) {
    EXPECT_NEAR(asked[k], times[k], 1e-12);
    const double t = times[k], h = 1.0 / N, last = k == N - 1 ? 0 : 1;
    y = each(data, y, noise.normal(y), [&](const Coordinate& d, double x, double z) {
      return x - (vp_f(t) * x - vp_beta(t) * d.score(vp(t), x)) * h +
             last * std::sqrt(vp_beta(t) * h) * z;
    });
  }
  expect_close(got, y);
}

/// Song et al. 2021, appendix E, equations 46 and 47 with F: (2 - sqrt(1 - beta)) x + beta score,
/// noise beta, none in the last step.
at::Tensor reverse_ddpm(const Ddpm& process, int T, bool ode, at::Tensor x, Noise noise) {
  for (int i = T; i >= 1; --i) {
    const double beta = process.beta[i], part = ode ? 0.5 : 1,
                 sigma = ode || i == 1 ? 0 : std::sqrt(beta);
    x = each(data, x, ode ? at::zeros_like(x) : noise.normal(x),
             [&](const Coordinate& d, double x, double z) {
               return (2 - std::sqrt(1 - beta)) * x + part * beta * d.score(process.at(i), x) +
                      sigma * z;
             });
  }
  return x;
}

TEST(ReverseDiffusion, DiscretisesAsTheForwardChainOnDdpm) {
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 200}}), law);
  const at::Tensor x = w.prior(5);
  for (const bool ode : {false, true}) {
    expect_close(w.sample(plugin("step", "reverse-diffusion", {{"ode", ode}}), x),
                 reverse_ddpm(Ddpm(200), 200, ode, x, w.noise().stream("predictor")));
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 200));
  }
}

// sigma_i^2 - sigma_(i-1)^2, sigma_0 = 0
TEST(ReverseDiffusion, AddsDifferencesOfVariancesOnALadder) {
  const int L = 30;
  const World w = exact(
      plugin("scheduler", "ncsn-ladder", {{"L", L}, {"sigma_max", 20.0}, {"sigma_min", 0.05}}),
      law);
  const auto sigma = [&](int i) {
    return i == 0 ? 0 : 0.05 * std::pow(400.0, (i - 1) / (L - 1.0));
  };
  for (const bool ode : {false, true}) {
    const at::Tensor start = w.prior(5);
    at::Tensor x = start;
    Noise noise = w.noise().stream("predictor");
    for (int i = L; i >= 1; --i) {
      const double d2 = std::pow(sigma(i), 2) - std::pow(sigma(i - 1), 2);
      x = each(data, x, ode ? at::zeros_like(x) : noise.normal(x),
               [&](const Coordinate& d, double x, double z) {
                 return x + (ode ? 0.5 : 1) * d2 * d.score({1, sigma(i)}, x) +
                        (ode || i == 1 ? 0 : std::sqrt(d2)) * z;
               });
    }
    expect_close(w.sample(plugin("step", "reverse-diffusion", {{"ode", ode}}), start), x);
  }
}

// papers.md, O11: rd 2 - sqrt(1-beta) - beta/v, pf 2 - sqrt(1-beta) - beta/2v
TEST(ReverseDiffusion, HasTheFactorsOfTheClosedForm) {
  const Ddpm process(100);
  const Coordinate d{0.3, 0.5};
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 100}}), gaussian({d.m}, {d.c}));
  const auto rd = host::make_as<Step>(plugin("step", "reverse-diffusion")),
             pf = host::make_as<Step>(plugin("step", "reverse-diffusion", {{"ode", true}}));
  for (const int i : {2, 50, 100}) {
    const double beta = process.beta[i], v = d.variance(process.at(i));
    const Map sde = measured(w, *rd, i / 100.0, (i - 1) / 100.0),
              ode = measured(w, *pf, i / 100.0, (i - 1) / 100.0);
    EXPECT_NEAR(sde.A, 2 - std::sqrt(1 - beta) - beta / v, 1e-10);
    EXPECT_NEAR(sde.C * sde.C, beta, 1e-10);
    EXPECT_NEAR(ode.A, 2 - std::sqrt(1 - beta) - beta / (2 * v), 1e-10);
    EXPECT_NEAR(ode.C, 0, 1e-12);
  }
}

}  // namespace
}  // namespace scorelab::test
