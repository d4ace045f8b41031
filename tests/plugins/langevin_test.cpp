#include <gtest/gtest.h>

#include <string>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

// papers.md, O12: x' = x + e s + sqrt(2e) z
TEST(Langevin, FixedStepsAreTheAffineRecursionOfAGaussian) {
  const World w = exact(plugin("scheduler", "one-level", {{"sigma", 0.3}}), law);
  const Point level{1, 0.3};
  const double e = 0.02;
  const at::Tensor start = w.prior(5);
  at::Tensor x = start;
  Noise noise = w.noise().stream("predictor");
  for (int k = 0; k < 120; ++k)
    x = each(data, x, noise.normal(x), [&](const Coordinate& d, double x, double z) {
      return x + e * d.score(level, x) + std::sqrt(2 * e) * z;
    });
  expect_close(w.sample(plugin("step", "langevin",
                               {{"rule", "fixed"}, {"eps", e}, {"repeats", 3}, {"steps", 40}}),
                        start),
               x);
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 120));
}

// papers.md, O12: V = v/(1 - e/2v), V_k - V shrinks by (1 - e/v)^2k
TEST(Langevin, FixedStepsHaveTheClosedVariancesOfTheUnadjustedChain) {
  const Coordinate d{0.4, 0.8};
  const World w = exact(plugin("scheduler", "one-level", {{"sigma", 0.3}}), gaussian({d.m}, {d.c}));
  const double v = d.variance({1, 0.3}), e = 0.1, stationary = v / (1 - e / (2 * v));
  const Map map = measured(
      w, *host::make_as<Step>(plugin("step", "langevin", {{"rule", "fixed"}, {"eps", e}})), 1, 1);
  double variance = 4;
  for (int k = 1; k <= 50; ++k) {
    variance = map.A * map.A * variance + map.C * map.C;
    EXPECT_NEAR(variance, stationary + std::pow(1 - e / v, 2 * k) * (4 - stationary), 1e-10);
  }
  EXPECT_NEAR(map.B / (1 - map.A), d.m, 1e-10);
}

/// Song et al. 2021, algorithms 4 and 5: e = 2 a (r |z|/|g|)^2, norms over groups being means of
/// norms.
at::Tensor corrected(Point level, double a, double r, std::int64_t group, const at::Tensor& x,
                     const at::Tensor& z) {
  const at::Tensor g =
      each(data, x, z, [&](const Coordinate& d, double x, double) { return d.score(level, x); });
  const auto norm = [&](const at::Tensor& y) {
    return y.square().sum(1).sqrt().view({-1, group}).mean(1).repeat_interleave(group).unsqueeze(1);
  };
  const at::Tensor e = 2 * a * (r * norm(z) / norm(g)).square();
  return x + e * g + (2 * e).sqrt() * z;
}

TEST(Langevin, SignalToNoiseRuleIsThatOfAlgorithms4And5) {
  World w = exact(plugin("scheduler", "one-level", {{"sigma", 0.3}}), law);
  for (const std::int64_t group : {1, 3}) {
    w.group = group;
    const at::Tensor start = w.prior(6);
    at::Tensor x = start;
    Noise noise = w.noise().stream("predictor");
    for (int k = 0; k < 20; ++k) x = corrected({1, 0.3}, 1, 0.16, group, x, noise.normal(x));
    expect_close(w.sample(plugin("step", "langevin", {{"steps", 20}}), start), x);
  }
}

// 1 - beta_i (the authors' code), abar_i (the paper), 1
TEST(Langevin, ScalesTheRuleByTheForwardKernelOrTheMarginal) {
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 20}, {"beta_end", 0.4}}), law);
  const Ddpm process(20, 1e-4, 0.4);
  const at::Tensor x = w.prior(4);
  for (const int i : {1, 10, 20})
    for (const auto& [word, a] : std::vector<std::pair<std::string, double>>{
             {"kernel", 1 - process.beta[i]}, {"marginal", process.abar[i]}, {"one", 1}}) {
      const c10::NoGradGuard guard;
      const auto step =
          host::make_as<Step>(plugin("step", "langevin", {{"alpha", word}, {"snr", 0.2}}));
      auto run = w.run();
      expect_close(step->step(run, x, i / 20.0, i / 20.0),
                   corrected(process.at(i), a, 0.2, 1, x, w.noise().normal(x)));
    }
}

struct Ladder {
  int L;
  double high, low;
  double sigma(int i) const { return low * std::pow(high / low, (i - 1) / (L - 1.0)); }
};

// a_i = eps sigma_i^2/sigma_L^2; half as printed, whole as the image code
TEST(AnnealedLangevin, IsAlgorithm1OnALadderOfGaussians) {
  const Ladder ladder{10, 1, 0.1};
  const World w =
      exact(plugin("scheduler", "ncsn-ladder",
                   {{"L", ladder.L}, {"sigma_max", ladder.high}, {"sigma_min", ladder.low}}),
            law);
  const double eps = 3e-3;
  for (const bool half : {false, true})
    for (const bool denoise : {false, true}) {
      const at::Tensor start = w.prior(5);
      at::Tensor x = start;
      Noise noise = w.noise();
      for (int i = ladder.L; i >= 1; --i)
        for (int k = 0; k < 7; ++k) {
          const double a = eps * std::pow(ladder.sigma(i) / ladder.low, 2);
          x = each(data, x, noise.normal(x), [&](const Coordinate& d, double x, double z) {
            const double s = d.score({1, ladder.sigma(i)}, x);
            return half ? x + a / 2 * s + std::sqrt(a) * z : x + a * s + std::sqrt(2 * a) * z;
          });
        }
      if (denoise)
        x = each(data, x, x, [&](const Coordinate& d, double x, double) {
          return x + ladder.low * ladder.low * d.score({1, ladder.low}, x);
        });
      const Json config =
          plugin("sampler", "annealed-langevin",
                 {{"T", 7}, {"eps", eps}, {"rule", half ? "half" : "whole"}, {"denoise", denoise}});
      expect_close(w.sample(config, start), x);
      EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 10 * 7 + denoise));
    }
}

// formulas.md, 5: technique 4 gives 6.18e-6 for CIFAR-10's ladder, T = 5
TEST(AnnealedLangevin, FindsTheStepSizesOfNcsnv2) {
  const World w = exact(plugin("scheduler", "ncsn-ladder", {{"L", 232}, {"sigma_max", 50.0}}),
                        gaussian({0}, {0}));
  const at::Tensor start = w.prior(50);
  const auto spread = [&](const Json& eps, const char* rule) {
    return w.sample(
        plugin("sampler", "annealed-langevin", {{"T", 5}, {"eps", eps}, {"rule", rule}}), start);
  };
  for (const char* rule : {"whole", "half"}) {
    const double own = 6.18396485e-6 * (std::string(rule) == "half" ? 2 : 1);
    const at::Tensor found = spread("auto", rule);
    const double off = (found - spread(own, rule)).abs().max().item<double>(),
                 other = (found - spread(1.01 * own, rule)).abs().max().item<double>();
    EXPECT_LT(off, 1e-3 * other) << off << " against " << other;
  }
}

TEST(AnnealedLangevin, LeavesTheVarianceRatioOfNcsnsTechnique4) {
  // papers.md, O13: on a point mass, s_T^2/sigma_i^2 = (1-q)^2T (gamma^2 - b) + b, q =
  // eps/sigma_L^2, b = 2q/(1 - (1-q)^2). Here for NCSN on CIFAR-10: 10 levels from 1 to .01, T =
  // 100, eps = 2e-5: 1.1111 (Song & Ermon 2020, technique 4).
  const Ladder ladder{10, 1, 0.01};
  const double q = 2e-5 / (0.01 * 0.01), gamma = std::pow(100, 1 / 9.0),
               b = 2 * q / (1 - std::pow(1 - q, 2));
  const double ratio = std::pow(1 - q, 200) * (gamma * gamma - b) + b;
  EXPECT_NEAR(ratio, 1.1111, 5e-5);
  const World w = exact(plugin("scheduler", "ncsn-ladder"), gaussian({0}, {0}));
  const std::int64_t n = 5000;
  std::vector<double> squares;
  World watched = w;
  watched.observe = [&](const Times& t, const at::Tensor& x) {
    squares.push_back((x / ladder.sigma(std::lround(t.one() * 10))).square().mean().item<double>());
  };
  watched.sample(plugin("sampler", "annealed-langevin"), at::zeros({n, 1}, at::kDouble));
  ASSERT_EQ(squares.size(), 10u);
  for (const double s : squares) EXPECT_NEAR(s, ratio, 4 * ratio * std::sqrt(2.0 / n));
}

}  // namespace
}  // namespace scorelab::test
