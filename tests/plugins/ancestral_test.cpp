#include <gtest/gtest.h>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

/// Ho et al. 2020, algorithm 2, over the levels given, from noise to data; `large`: sigma^2 = beta,
/// otherwise the posterior's variance.
at::Tensor algorithm2(const Ddpm& process, const std::vector<int>& levels, bool large, at::Tensor x,
                      Noise noise) {
  for (std::size_t k = 0; k + 1 < levels.size(); ++k) {
    const int t = levels[k], s = levels[k + 1];
    const double alpha = process.abar[t] / process.abar[s], beta = 1 - alpha;
    const double posterior = beta * (1 - process.abar[s]) / (1 - process.abar[t]);
    const double sigma = s == 0 ? 0 : std::sqrt(large ? beta : posterior);
    x = each(data, x, noise.normal(x), [&](const Coordinate& d, double x, double z) {
      return (x - beta / std::sqrt(1 - process.abar[t]) * d.eps(process.at(t), x)) /
                 std::sqrt(alpha) +
             sigma * z;
    });
  }
  return x;
}

std::vector<int> every(int stride, int T) {
  std::vector<int> out;
  for (int i = T; i >= 0; i -= stride) out.push_back(i);
  return out;
}

TEST(Ancestral, IsAlgorithm2OfDdpmOnAGaussian) {
  const World w = exact(plugin("scheduler", "ddpm-linear"), law);
  const at::Tensor x = w.prior(5);
  for (const bool large : {true, false}) {
    const Json config = plugin("step", "ancestral", {{"variance", large ? "large" : "small"}});
    expect_close(w.sample(config, x),
                 algorithm2(Ddpm(1000), every(1, 1000), large, x, w.noise().stream("predictor")));
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 1000));
  }
}

TEST(Ancestral, SkipsLevelsByTheirProducts) {
  const Json scheduler =
      plugin("scheduler", "ddpm-linear", {{"T", 40}, {"beta_start", 1e-3}, {"beta_end", 0.2}});
  const World w = exact(scheduler, law);
  const at::Tensor x = w.prior(5);
  for (const bool large : {true, false}) {
    const Json config =
        plugin("step", "ancestral", {{"variance", large ? "large" : "small"}, {"steps", 10}});
    expect_close(w.sample(config, x), algorithm2(Ddpm(40, 1e-3, 0.2), every(4, 40), large, x,
                                                 w.noise().stream("predictor")));
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 10));
  }
}

TEST(Ancestral, IsEquation47OnVe) {
  const World w = exact(plugin("scheduler", "ve"), law);
  const at::Tensor start = w.prior(5);
  const int S = 60;
  for (const bool large : {true, false}) {
    std::vector<double> times = uniform_times(1, 1e-5, S - 1);
    times.push_back(0);  // the last step: Tweedie's mean
    Noise noise = w.noise().stream("predictor");
    at::Tensor x = start;
    for (int k = 0; k < S; ++k) {
      const double t2 = std::pow(ve(times[k]).b, 2),
                   s2 = k + 1 < S ? std::pow(ve(times[k + 1]).b, 2) : 0;
      const double noise_variance = k + 1 < S ? (large ? t2 - s2 : s2 * (t2 - s2) / t2) : 0;
      x = each(data, x, noise.normal(x), [&](const Coordinate& d, double x, double z) {
        return x + (t2 - s2) * d.score(ve(times[k]), x) + std::sqrt(noise_variance) * z;
      });
    }
    const Json config =
        plugin("step", "ancestral", {{"variance", large ? "large" : "small"}, {"steps", S}});
    expect_close(w.sample(config, start), x);
  }
}

// papers.md, O6
TEST(Ancestral, KeepsTheReverseMeansExactlyAndHasTheVariancesOfTheTrueReverseOrNot) {
  const Ddpm process(100);
  const auto step = [](const char* variance) {
    return host::make_as<Step>(plugin("step", "ancestral", {{"variance", variance}}));
  };
  for (const Coordinate d : {Coordinate{0.3, 1.0}, Coordinate{0.3, 0.0}, Coordinate{0.3, 0.5}}) {
    const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 100}}), gaussian({d.m}, {d.c}));
    for (const int t : {2, 30, 100}) {
      const Point at_t = process.at(t), at_s = process.at(t - 1);
      const double A = at_t.a / at_s.a, beta = process.beta[t],
                   w_t = d.variance(at_s) * beta / d.variance(at_t);
      const Map large = measured(w, *step("large"), t / 100.0, (t - 1) / 100.0);
      const Map small = measured(w, *step("small"), t / 100.0, (t - 1) / 100.0);
      EXPECT_NEAR(large.A, A * d.variance(at_s) / d.variance(at_t), 1e-10);
      EXPECT_NEAR(large.B, at_s.a * d.m - large.A * at_t.a * d.m, 1e-10);
      EXPECT_NEAR(small.A, large.A, 1e-10);
      if (d.c == 1) {
        EXPECT_NEAR(large.C * large.C, w_t, 1e-10);
      } else if (d.c == 0) {
        EXPECT_NEAR(small.C * small.C, w_t, 1e-10);
      } else {
        EXPECT_GT(large.C * large.C, w_t);
        EXPECT_LT(small.C * small.C, w_t);
      }
    }
  }
}

// papers.md, O6: abar[1], whatever S
TEST(Ancestral, EndsWithTheFirstLevelsSignalVarianceOnAUnitGaussian) {
  const Ddpm process(1000);
  const World w = exact(plugin("scheduler", "ddpm-linear"), gaussian({0}, {1}));
  const auto step = host::make_as<Step>(plugin("step", "ancestral", {{"variance", "large"}}));
  for (const int S : {10, 20, 100}) {
    double variance = 1;
    for (int t = 1000; t > 0; t -= 1000 / S) {
      const Map map = measured(w, *step, t / 1000.0, (t - 1000 / S) / 1000.0);
      variance = map.A * map.A * variance + map.C * map.C;
    }
    EXPECT_NEAR(variance, process.abar[1000 / S], 1e-10) << "S = " << S;
  }
}

/// Bao et al. 2022, theorem 1, for lambda^2 the posterior's variance: sigma^2 from the mean square
/// of the score in one dimension.
double theorem1(double abar_t, double abar_s, double score2) {
  const double alpha = abar_t / abar_s, beta_t = 1 - abar_t, beta_s = 1 - abar_s,
               lambda2 = beta_s / beta_t * (1 - alpha);
  return lambda2 + std::pow(std::sqrt(beta_t / alpha) - std::sqrt(beta_s - lambda2), 2) *
                       (1 - beta_t * score2);
}

TEST(Ancestral, WithTheBestVarianceHasTheMomentsOfTheDataAfterEveryStep) {
  const Ddpm process(100);
  const auto step = host::make_as<Step>(plugin("step", "ancestral", {{"variance", "analytic"}}));
  for (const Coordinate d : {Coordinate{0.3, 1.0}, Coordinate{0.3, 0.1}, Coordinate{-2, 3}}) {
    const Law one = gaussian({d.m}, {d.c});
    const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 100}}), one);
    step->prepare(w.setting(&one));
    for (const auto& [t, s] :
         std::vector<std::pair<int, int>>{{100, 90}, {50, 49}, {50, 10}, {2, 1}}) {
      const Point at_t = process.at(t), at_s = process.at(s);
      const Map map = measured(w, *step, t / 100.0, s / 100.0);
      EXPECT_NEAR(map.C * map.C, theorem1(process.abar[t], process.abar[s], 1 / d.variance(at_t)),
                  1e-10);
      EXPECT_NEAR(map.A * at_t.a * d.m + map.B, at_s.a * d.m, 1e-10);
      EXPECT_NEAR(map.A * map.A * d.variance(at_t) + map.C * map.C, d.variance(at_s), 1e-10)
          << "the reverse step of a Gaussian";
    }
    EXPECT_EQ(measured(w, *step, 0.02, 0).C, 0);
  }
}

TEST(Ancestral, TheBestVarianceOfAMixtureIsTheorem1sWithItsScoreByQuadrature) {
  const Ddpm process(100);
  const double weight[] = {0.3, 0.7}, mean[] = {-2, 1}, std[] = {0.3, 0.6};
  const Law law{at::tensor({0.3, 0.7}, at::kDouble),
                at::tensor({-2.0, 1.0}, at::kDouble).view({2, 1}),
                at::tensor({0.09, 0.36}, at::kDouble).view({2, 1}),
                {}};
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 100}}), law);
  const auto step = host::make_as<Step>(plugin("step", "ancestral", {{"variance", "analytic"}}));
  step->prepare(w.setting(&law));
  for (const auto& [t, s] : std::vector<std::pair<int, int>>{{100, 80}, {60, 30}, {20, 10}}) {
    double score2 = 0;
    for (int i = -8000; i <= 8000; ++i) {  // the integral of p'^2/p
      const double x = i / 1000.0;
      double p = 0, slope = 0;
      for (int k = 0; k < 2; ++k) {
        const double v = process.abar[t] * std[k] * std[k] + 1 - process.abar[t],
                     off = x - process.at(t).a * mean[k];
        const double density =
            weight[k] * std::exp(-off * off / (2 * v)) / std::sqrt(2 * std::acos(-1) * v);
        p += density;
        slope -= density * off / v;
      }
      score2 += slope * slope / p / 1000;
    }
    // The map is not affine, but two draws of the noise from one x tell sigma. 4096 draws find the
    // score's mean square.
    scorelab::Run run = w.run();
    const at::Tensor x = at::zeros({2, 1}, at::kDouble),
                     y = step->step(run, x, t / 100.0, s / 100.0), z = w.noise().normal(x);
    const double C = (y[1] - y[0]).item<double>() / (z[1] - z[0]).item<double>();
    EXPECT_NEAR(C * C / theorem1(process.abar[t], process.abar[s], score2), 1, 0.05)
        << t << " " << s;
  }
}

}  // namespace
}  // namespace scorelab::test
