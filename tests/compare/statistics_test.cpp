#include "compare/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "testing.h"

namespace scorelab::compare {
namespace {

using test::nan;

TEST(Statistics, MeansAndMedians) {
  EXPECT_DOUBLE_EQ(mean({1, 2, 6}), 3);
  EXPECT_DOUBLE_EQ(median({6, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(median({6, 1, 2, 3}), 2.5);
  EXPECT_TRUE(std::isnan(mean({})) && std::isnan(median({})));
  EXPECT_TRUE(std::isnan(mean({1, nan, 2})) && std::isnan(median({1, nan, 2})))
      << "NaN never disappears";
}

// 0 .. n-1 has the variance n (n + 1) / 12; t from any printed table
TEST(Statistics, TheIntervalIsStudents) {
  const std::vector<std::pair<int, double>> table{{2, 12.706}, {3, 4.303},  {5, 2.776},  {8, 2.365},
                                                  {10, 2.262}, {30, 2.045}, {100, 1.984}};
  for (const auto& [n, t] : table) {
    std::vector<double> x;
    for (int i = 0; i < n; ++i) x.push_back(i);
    const Interval got = interval(x);
    const double half = t * std::sqrt((n + 1) / 12.0), middle = (n - 1) / 2.0;
    EXPECT_NEAR(got.low, middle - half, 6e-4 * half) << n;
    EXPECT_NEAR(got.high, middle + half, 6e-4 * half) << n;
  }
}

TEST(Statistics, OneValueAndNaNHaveNoInterval) {
  for (const auto& x : std::vector<std::vector<double>>{{}, {1}, {1, nan, 2}}) {
    EXPECT_TRUE(std::isnan(interval(x).low));
    EXPECT_TRUE(std::isnan(interval(x).high));
  }
  EXPECT_DOUBLE_EQ(interval({2, 2, 2}).low, 2);
  EXPECT_DOUBLE_EQ(interval({2, 2, 2}).high, 2);
}

class Coverage : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Coverage, testing::Values(3, 5, 8));

TEST_P(Coverage, OfTheMeanIs95Percent) {
  std::mt19937_64 random(17);
  std::normal_distribution<double> normal;
  const double truth = 0.7;
  int inside = 0;
  const int trials = 6000;
  for (int k = 0; k < trials; ++k) {
    std::vector<double> x;
    for (std::size_t i = 0; i < GetParam(); ++i) x.push_back(truth + 0.3 * normal(random));
    const Interval got = interval(x);
    inside += got.low <= truth && truth <= got.high;
  }
  EXPECT_GE(inside, 0.93 * trials);
  EXPECT_LE(inside, 0.97 * trials);
}

// seeds that are far apart, and a known effect between two variants
TEST_P(Coverage, OfThePairedDifferenceIs95PercentAndPairingPays) {
  std::mt19937_64 random(23);
  std::normal_distribution<double> normal;
  const double effect = -0.2;
  int inside = 0, found = 0, found_unpaired = 0;
  const int trials = 6000;
  for (int k = 0; k < trials; ++k) {
    std::vector<double> difference, a, b;
    for (std::size_t i = 0; i < GetParam(); ++i) {
      const double seed = 5 * normal(random);
      a.push_back(seed + 0.1 * normal(random));
      b.push_back(seed + effect + 0.1 * normal(random));
      difference.push_back(b.back() - a.back());
    }
    const Interval got = interval(difference);
    inside += got.low <= effect && effect <= got.high;
    found += got.high < 0;
    found_unpaired += interval(b).high < interval(a).low;
  }
  EXPECT_GE(inside, 0.93 * trials);
  EXPECT_LE(inside, 0.97 * trials);
  EXPECT_GT(found, 0.15 * trials);
  EXPECT_LT(found_unpaired, 0.01 * trials);
}

/// Both signs of each difference, by recursion.
void every_sum(const std::vector<double>& d, std::size_t i, double sum, std::vector<double>& out) {
  if (i == d.size()) return out.push_back(sum);
  every_sum(d, i + 1, sum + d[i], out);
  every_sum(d, i + 1, sum - d[i], out);
}

TEST(SignFlip, IsTheShareOfPatternsAsFarFromZero) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal(0.3);
  for (std::size_t n = 1; n <= 11; ++n) {
    std::vector<double> d, sums;
    for (std::size_t i = 0; i < n; ++i) d.push_back(normal(random));
    every_sum(d, 0, 0, sums);
    const double own = std::abs(sums[0]);
    const auto far = std::count_if(sums.begin(), sums.end(),
                                   [&](double s) { return std::abs(s) >= own - 1e-9; });
    EXPECT_DOUBLE_EQ(sign_flip(d).p, static_cast<double>(far) / static_cast<double>(sums.size()))
        << n;
    EXPECT_TRUE(sign_flip(d).exact);
  }
}

// Fisher 1935, The Design of Experiments, section 21: 1726 of 32768
TEST(SignFlip, AgreesWithFisherOnDarwinsMaize) {
  EXPECT_DOUBLE_EQ(sign_flip({49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48}).p,
                   1726.0 / 32768);
}

TEST(SignFlip, IsAtLeastTwoPatternsWhereAllSignsAgree) {
  for (std::size_t n = 1; n <= 12; ++n) {
    const std::vector<double> better(n, -0.25);
    EXPECT_DOUBLE_EQ(sign_flip(better).p, 2 / std::pow(2.0, n)) << n;
  }
  EXPECT_DOUBLE_EQ(sign_flip({1, 2, 3}).p, 0.25);
  EXPECT_DOUBLE_EQ(sign_flip({3, -1}).p, 1);
  EXPECT_DOUBLE_EQ(sign_flip({0, 0, 0}).p, 1);
  EXPECT_DOUBLE_EQ(sign_flip({0.1, 0.2, -0.3}).p, 1)
      << "0.1 + 0.2 - 0.3 is rounding, and every pattern is as far from 0";
  EXPECT_TRUE(std::isnan(sign_flip({}).p));
  EXPECT_TRUE(std::isnan(sign_flip({1, nan}).p));
}

TEST(SignFlip, IsUniformWhereThereIsNoDifference) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> normal;
  const int trials = 3000;
  std::vector<double> p;
  for (int k = 0; k < trials; ++k) {
    std::vector<double> d;
    for (int i = 0; i < 8; ++i) d.push_back(normal(random));
    p.push_back(sign_flip(d).p);
  }
  // multiples of 2/2^8, where the exact law is uniform
  for (const double a : {1 / 64.0, 1 / 16.0, 0.25, 0.5, 0.75}) {
    const auto below = static_cast<double>(
        std::count_if(p.begin(), p.end(), [&](double v) { return v <= a + 1e-12; }));
    EXPECT_NEAR(below / trials, a, 4 * std::sqrt(a * (1 - a) / trials)) << a;
  }
}

TEST(SignFlip, TakesRandomPatternsBeyondTwentyDifferences) {  // 15 of 24 signs: a binomial law
  std::vector<double> d(24, 1.0);
  for (int i = 0; i < 9; ++i) d[static_cast<std::size_t>(i)] = -1;
  double p = 0;
  for (int k = 0; k <= 24; ++k)
    if (std::abs(2 * k - 24) >= 6)
      p += std::exp(std::lgamma(25) - std::lgamma(k + 1) - std::lgamma(25 - k) - 24 * std::log(2));
  const SignFlip got = sign_flip(d);
  EXPECT_FALSE(got.exact);
  EXPECT_NEAR(got.p, p, 5 * std::sqrt(p * (1 - p) / 200000));
  EXPECT_DOUBLE_EQ(got.p, sign_flip(d).p) << "the patterns are fixed";
  EXPECT_GT(sign_flip(std::vector<double>(40, 1.0)).p, 0)
      << "no sample of patterns shows that p is 0";
  EXPECT_TRUE(sign_flip(std::vector<double>(20, 1.0)).exact);
}

TEST(Statistics, TheLogSlopeIsThePower) {
  const std::vector<double> x{11, 19, 35, 79, 159};
  for (const double power : {-2.0, 0.0, 0.5, 3.0}) {
    std::vector<double> y;
    for (const double v : x) y.push_back(7 * std::pow(v, power));
    EXPECT_NEAR(log_slope(x, y), power, 1e-12);
  }
  EXPECT_NEAR(log_slope({1, std::exp(1.0), std::exp(2.0)}, {1, std::exp(3.0), 1}), 0, 1e-12)
      << "least squares, not the ends";
  EXPECT_NEAR(log_slope({1, std::exp(1.0), std::exp(2.0)}, {1, 1, std::exp(3.0)}), 1.5, 1e-12);
  EXPECT_TRUE(std::isnan(log_slope({1, 2, 3}, {1, nan, 2})));
}

}  // namespace
}  // namespace scorelab::compare
