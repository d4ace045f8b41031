#include <gtest/gtest.h>
#include <scorelab/metric.h>

#include <algorithm>
#include <map>

#include "testing.h"

namespace scorelab::test {
namespace {

std::map<std::string, double> measure(const std::string& name, Json params,
                                      const at::Tensor& samples, const at::Tensor& reference,
                                      const Law* law = nullptr) {
  const Json config = plugin("metric", name, std::move(params));
  Noise noise(13, "metric");
  std::map<std::string, double> out;
  for (const Measurement& m :
       host::make_as<Metric>(config)->measure({samples, reference, law, noise}))
    out[m.name] = m.value;
  return out;
}

at::Tensor normal(std::int64_t rows, std::int64_t D, std::uint64_t seed) {
  return Noise(seed, "samples").normal(at::empty({rows, D}, at::kDouble));
}

TEST(SlicedWasserstein,
     // E (v . d)^2 = |d|^2/D over unit directions; the rest cancels exactly
     OfAShiftIsItsLengthOverTheRootOfTheDimension) {
  const at::Tensor x = normal(100, 4, 1), d = row({1.0, -2.0, 0.5, 0.0});
  const double expected = d.norm().item<double>() / 2;
  EXPECT_NEAR(measure("sliced-wasserstein", {{"projections", 4000}}, x + d, x)[""], expected,
              0.03 * expected);
  EXPECT_EQ(measure("sliced-wasserstein", Json::object(), x, x)[""], 0);
  // of sets, not of lists
  EXPECT_EQ(measure("sliced-wasserstein", Json::object(), x.index_select(0, at::arange(99, -1, -1)),
                    x)[""],
            0);
}

// N(0, s^2) against N(0, 1), the same draws scaled: |s - 1| rms(x)
TEST(SlicedWasserstein, InOneDimensionIsTheDistanceOfQuantiles) {
  const at::Tensor x = normal(500, 1, 1);
  EXPECT_NEAR(measure("sliced-wasserstein", Json::object(), 3 * x, x)[""],
              2 * x.square().mean().sqrt().item<double>(), 1e-12);
}

TEST(Mmd, IsTheUnbiasedEstimateByItsFormula) {  // Gretton et al. 2012, equation 3, in loops
  const int n = 30;
  const at::Tensor x = normal(n, 2, 1), y = normal(n, 2, 2) + 0.5;
  const auto squared = [](const at::Tensor& a, const at::Tensor& b) {
    return (a - b).square().sum().item<double>();
  };
  std::vector<double> distances;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      if (i != j) distances.push_back(squared(y[i], y[j]));
  std::sort(distances.begin(), distances.end());
  const double median = distances[(distances.size() - 1) / 2];
  double total = 0;
  for (const double width : {0.5, 2.0}) {
    const auto k = [&](double d2) { return std::exp(-d2 / (2 * width * width * median)); };
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        if (i != j) total += (k(squared(x[i], x[j])) + k(squared(y[i], y[j]))) / (n * (n - 1)) / 2;
        total -= 2 * k(squared(x[i], y[j])) / (n * n) / 2;
      }
  }
  EXPECT_NEAR(measure("mmd", {{"widths", {0.5, 2.0}}}, x, y)[""], total, 1e-10);
}

TEST(Mmd, IsZeroInExpectationForEqualLawsAndNearItsClosedFormForGaussians) {
  at::Tensor equal = at::empty({30}, at::kDouble);
  for (std::uint64_t i = 0; i < 30; ++i)
    equal[static_cast<std::int64_t>(i)] =
        measure("mmd", Json::object(), normal(200, 2, 100 + i), normal(200, 2, 200 + i))[""];
  EXPECT_LT(std::abs(equal.mean().item<double>()),
            4 * equal.std().item<double>() / std::sqrt(30.0));
  EXPECT_LT(equal.min().item<double>(), 0);  // unbiased: below zero at times
  // N(0, I) against N(m, I) in D = 2 with kernel variance h: 2 (h/(h + 2)) (1 - exp(-|m|^2/(2 (h +
  // 2)))). The median of |y - y'|^2 is 4 ln 2.
  const double h = 4 * std::log(2.0), m2 = 2.0,
               expected = 2 * h / (h + 2) * (1 - std::exp(-m2 / (2 * (h + 2))));
  EXPECT_NEAR(measure("mmd", {{"widths", {1.0}}}, normal(2000, 2, 1), normal(2000, 2, 2) + 1)[""],
              expected, 0.08 * expected);
}

TEST(Moments, MeasuresDistancesOfMeanAndCovariance) {
  const at::Tensor x = normal(1000, 3, 1), d = row({1.0, 2.0, -2.0});
  auto got = measure("moments", Json::object(), x + d, x);
  EXPECT_NEAR(got["mean"], 3, 1e-12);
  EXPECT_NEAR(got["covariance"], 0, 1e-12);
  got = measure("moments", Json::object(), 2 * x, x);
  const at::Tensor off = x - x.mean(0), S = off.t().matmul(off) / 999;
  EXPECT_NEAR(got["covariance"], 3 * S.norm().item<double>(), 1e-10);
  EXPECT_NEAR(got["std"], 2 * x.std(0).mean().item<double>(), 1e-10);
}

// of a mixture: sum w mu, sum w (S + mu mu^T) - mean mean^T
TEST(Moments, TakesTheLawWhereItIsKnown) {
  const Law law = three_modes();
  const at::Tensor x = normal(1000, 2, 1), w = law.weights.unsqueeze(1),
                   mean = (w * law.means).sum(0);
  const at::Tensor covariance = (w.unsqueeze(2) * (law.variances.diag_embed() +
                                                   law.means.unsqueeze(2) * law.means.unsqueeze(1)))
                                    .sum(0) -
                                at::outer(mean, mean);
  const at::Tensor off = x - x.mean(0), S = off.t().matmul(off) / 999;
  auto got = measure("moments", Json::object(), x, at::zeros_like(x), &law);
  EXPECT_NEAR(got["mean"], (x.mean(0) - mean).norm().item<double>(), 1e-12);
  EXPECT_NEAR(got["covariance"], (S - covariance).norm().item<double>(), 1e-12);
}

TEST(TrueNll, OfTheDataItselfIsTheEntropy) {  // of a Gaussian: D/2 log(2 pi e s^2)
  const Law law = gaussian({1.0, 1.0}, {0.5, 0.5});
  const std::int64_t n = 20000;
  const at::Tensor x = 1 + 0.5 * normal(n, 2, 1);
  auto got = measure("true-nll", Json::object(), x, x, &law);
  EXPECT_NEAR(got[""], std::log(2 * M_PI * std::exp(1.0) * 0.25),
              4 / std::sqrt(static_cast<double>(n)));  // D/2 = 1; each sample's variance is D/2
  EXPECT_EQ(got["gap"], 0);
  got = measure("true-nll", Json::object(), at::ones({3, 2}, at::kDouble), x, &law);
  EXPECT_NEAR(got[""], std::log(2 * M_PI * 0.25), 1e-12);  // at the mode
  const Law atom = gaussian({0.0}, {0.0});
  EXPECT_THROW(measure("true-nll", Json::object(), normal(3, 1, 1), normal(3, 1, 2), &atom), Error);
  EXPECT_THROW(measure("true-nll", Json::object(), x, x), Error);
}

}  // namespace
}  // namespace scorelab::test
