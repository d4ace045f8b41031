#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <scorelab/error.h>
#include <scorelab/noise.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "statistics.h"

namespace scorelab::test {
namespace {

at::Tensor rows(std::int64_t n, std::int64_t width = 3, at::ScalarType dtype = at::kDouble) {
  return at::empty({n, width}, dtype);
}
double largest(const at::Tensor& x) { return x.abs().max().item<double>(); }

TEST(Brownian, AdjoiningIntervalsAddUpToTheWhole) {
  const Noise noise(5, "path");
  const std::vector<double> times{0, 1e-9, 0.1, 1 / 3.0, 0.5, 0.75, 1, 1.5, 2, 3.7, 17.25, 64, 80};
  at::Tensor sum = at::zeros({6, 3}, at::kDouble);
  for (std::size_t k = 0; k + 1 < times.size(); ++k) {
    const at::Tensor part = noise.brownian(rows(6), times[k], times[k + 1]);
    EXPECT_GT(part.abs().min().item<double>(), 0) << "from " << times[k];
    sum += part;
    EXPECT_LT(largest(noise.brownian(rows(6), 0, times[k + 1]) - sum), 1e-12)
        << "to " << times[k + 1];
  }
  EXPECT_LT(largest(noise.brownian(rows(6), 80, 0) + sum), 1e-12);  // backwards
  EXPECT_EQ(largest(noise.brownian(rows(6), 0.3, 0.3)), 0);
}

TEST(Brownian, IsAFunctionOfItsTimesAndCountsAsNoDraw) {
  Noise noise(5, "path");
  const at::Tensor first = noise.brownian(rows(6), 0.2, 0.9);
  noise.brownian(rows(6), 0.9, 7);
  EXPECT_TRUE(at::equal(noise.brownian(rows(6), 0.2, 0.9), first));
  EXPECT_TRUE(at::equal(noise.normal(rows(6)), Noise(5, "path").normal(rows(6))));
  EXPECT_TRUE(at::equal(noise.brownian(rows(6), 0.2, 0.9), first));
  EXPECT_FALSE(at::equal(Noise(6, "path").brownian(rows(6), 0.2, 0.9), first));
  EXPECT_FALSE(at::equal(Noise(5, "other").brownian(rows(6), 0.2, 0.9), first));
}

TEST(Brownian, HasTheSameBitsWhateverTheBatchAndItsNeighbours) {
  for (const auto dtype : {at::kDouble, at::kFloat})
    for (const auto& [s, t] : std::vector<std::pair<double, double>>{{0.21, 0.97}, {0.5, 13.3}}) {
      const at::Tensor all = Noise(5, "path").brownian(rows(130, 9, dtype), s, t);
      EXPECT_EQ(all.scalar_type(), dtype);
      for (const std::int64_t size : {1, 7, 64})
        for (std::int64_t begin = 0; begin < 130; begin += size) {
          const std::int64_t n = std::min<std::int64_t>(size, 130 - begin);
          EXPECT_TRUE(at::equal(Noise(5, "path", begin).brownian(rows(n, 9, dtype), s, t),
                                all.narrow(0, begin, n)));
        }
    }
}

TEST(Brownian, TimesOfEachRowGiveTheBitsOfSharedOnes) {
  const Noise noise(5, "path");
  const at::Tensor shared = noise.brownian(rows(5), 0.3, 2.6),
                   other = noise.brownian(rows(5), 0.1, 0.2);
  EXPECT_TRUE(at::equal(
      noise.brownian(rows(5), PerRow({0.3, 0.3, 0.3, 0.3, 0.3}), PerRow({2.6, 2.6, 2.6, 2.6, 2.6})),
      shared));
  EXPECT_TRUE(at::equal(noise.brownian(rows(5), 0.3, PerRow({2.6, 2.6, 2.6, 2.6, 2.6})), shared));
  const at::Tensor mixed =
      noise.brownian(rows(5), PerRow({0.3, 0.1, 0.3, 0.1, 0.3}), PerRow({2.6, 0.2, 2.6, 0.2, 2.6}));
  for (std::int64_t r = 0; r < 5; ++r)
    EXPECT_TRUE(at::equal(mixed[r], r % 2 ? other[r] : shared[r]));
}

// E dW(I) dW(J) = |I n J|, within 5 standard errors
TEST(Brownian, HasTheVariancesAndCovariancesOfItsIntervals) {
  const std::vector<std::pair<double, double>> intervals{
      {0, 0.3},  {0.3, 1},  {0.2, 0.7}, {0, 1},    {0.6, 1.9},
      {1.5, 40}, {33, 80.}, {0, 80},    {0, 1e-6}, {0.5, 0.5 + 1e-6}};
  const Noise noise(5, "moments");
  std::vector<at::Tensor> moved;
  for (const auto& [s, t] : intervals) moved.push_back(noise.brownian(rows(10000, 4), s, t));
  const double n = 40000;
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    const auto& [s, t] = intervals[i];
    EXPECT_LT(kolmogorov_smirnov(moved[i] / std::sqrt(t - s), normal_cdf), 1.95)
        << "from " << s << " to " << t;
    for (std::size_t j = 0; j <= i; ++j) {
      const auto& [u, v] = intervals[j];
      const double overlap = std::max(0.0, std::min(t, v) - std::max(s, u));
      const double error = std::sqrt(((t - s) * (v - u) + overlap * overlap) / n);
      EXPECT_NEAR((moved[i] * moved[j]).mean().item<double>(), overlap, 5 * error)
          << s << " to " << t << ", " << u << " to " << v;
    }
  }
  const at::Tensor& z = moved[3];
  // neighbouring samples
  EXPECT_LT(std::abs(correlation(z.narrow(0, 0, 9999), z.narrow(0, 1, 9999))), 5 / std::sqrt(n));
  // and elements
  EXPECT_LT(std::abs(correlation(z.narrow(1, 0, 3), z.narrow(1, 1, 3))), 5 / std::sqrt(0.75 * n));
  EXPECT_LT(std::abs(correlation(z, Noise(5, "moments").normal(rows(10000, 4)))), 5 / std::sqrt(n));
}

TEST(Brownian, BeginsAtZeroAndHasNoOtherTimes) {
  const Noise noise(5, "path");
  EXPECT_THROW(noise.brownian(rows(2), -0.1, 0.5), Error);
  EXPECT_THROW(noise.brownian(rows(2), 0.5, PerRow({0.7, -1e-9})), Error);
  EXPECT_THROW(noise.brownian(rows(2), 0, NAN), Error);
}

TEST(Brownian, RowsThatAreOffDoNotMove) {
  const Noise noise(5, "path");
  const at::Tensor all = noise.brownian(rows(3), 0.2, 0.9),
                   some = noise.rows(PerRow({1, 0, 1})).brownian(rows(3), 0.2, 0.9);
  EXPECT_TRUE(at::equal(some[0], all[0]));
  EXPECT_EQ(largest(some[1]), 0);
  EXPECT_TRUE(at::equal(some[2], all[2]));
}

TEST(Along, ACoarseStepIsTheSumOfItsFineSteps) {
  const Noise noise(5, "path");
  const std::vector<double> times{0.9, 0.75, 0.5, 0.300001, 0.3};
  Noise coarse = noise.along(0.9, 0.3);
  const at::Tensor first = std::sqrt(0.6) * coarse.normal(rows(6)),
                   second = std::sqrt(0.6) * coarse.normal(rows(6));
  at::Tensor first_sum = at::zeros({6, 3}, at::kDouble),
             second_sum = at::zeros({6, 3}, at::kDouble);
  for (std::size_t k = 0; k + 1 < times.size(); ++k) {
    Noise fine = noise.along(times[k], times[k + 1]);
    first_sum += std::sqrt(times[k] - times[k + 1]) * fine.normal(rows(6));
    second_sum += std::sqrt(times[k] - times[k + 1]) * fine.normal(rows(6));
  }
  EXPECT_LT(largest(first - first_sum), 1e-12);
  EXPECT_LT(largest(second - second_sum), 1e-12);
  EXPECT_GT(largest(first - second), 0.1);
}

TEST(Along, DrawsOfStepsAndOfOneStepAreIndependentNormals) {
  const Noise noise(7, "law");
  std::vector<at::Tensor> z{Noise(7, "law").normal(rows(10000, 4)),
                            noise.brownian(rows(10000, 4), 0.25, 0.5)};
  for (const auto& [t, s] :
       std::vector<std::pair<double, double>>{{0.5, 0.25}, {0.25, 0.2}, {0.2, 0}}) {
    Noise step = noise.along(t, s);
    for (int k = 0; k < 3; ++k) z.push_back(step.normal(rows(10000, 4)));
  }
  const double n = 40000;
  for (std::size_t i = 2; i < z.size(); ++i) {
    EXPECT_LT(kolmogorov_smirnov(z[i], normal_cdf), 1.95) << i;
    EXPECT_NEAR(z[i].mean().item<double>(), 0, 5 / std::sqrt(n));
    EXPECT_NEAR(z[i].square().mean().item<double>(), 1, 5 * std::sqrt(2 / n));
    EXPECT_NEAR(z[i].pow(4).mean().item<double>(), 3, 5 * std::sqrt(96 / n));
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_LT(std::abs(correlation(z[i], z[j])), 5 / std::sqrt(n)) << i << ", " << j;
  }
}

TEST(Along, RowsThatStandStillDrawAsUsual) {
  Noise noise(7, "rows"), plain(7, "rows");
  const at::Tensor like = rows(3), d[2] = {plain.normal(like), plain.normal(like)};
  const at::Tensor step = Noise(7, "rows").along(0.5, 0.2).normal(like);
  const at::Tensor z = noise.along(PerRow({0.5, 0.5, 0.7}), PerRow({0.5, 0.2, 0.7})).normal(like);
  EXPECT_TRUE(at::equal(z, at::stack({d[0][0], step[1], d[0][2]})));
  const at::Tensor next = noise.normal(like);
  EXPECT_TRUE(at::equal(next, at::stack({d[1][0], d[0][1], d[1][2]})))
      << "a row's usual draws are counted when it makes them";
  Noise still = Noise(7, "rows").along(0.4, 0.4);
  for (const at::Tensor& expected : d) EXPECT_TRUE(at::equal(still.normal(like), expected));
}

TEST(Along, UniformsAndSignsAreTheUsualOnes) {
  Noise along = Noise(7, "u").along(0.5, 0.2), plain(7, "u");
  EXPECT_TRUE(at::equal(along.uniform(rows(4)), plain.uniform(rows(4))));
  EXPECT_TRUE(at::equal(along.sign(rows(4)), plain.sign(rows(4))));
}

TEST(Along, HasTheSameBitsWhateverTheBatchAndItsNeighbours) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    Noise whole = Noise(5, "path").along(0.7, 0.1);
    const at::Tensor all[] = {whole.normal(rows(70, 9, dtype)), whole.normal(rows(70, 9, dtype))};
    for (const std::int64_t size : {1, 7, 64})
      for (std::int64_t begin = 0; begin < 70; begin += size) {
        const std::int64_t n = std::min<std::int64_t>(size, 70 - begin);
        Noise part = Noise(5, "path", begin).along(0.7, 0.1);
        for (const at::Tensor& draw : all)
          EXPECT_TRUE(at::equal(part.normal(rows(n, 9, dtype)), draw.narrow(0, begin, n)));
      }
  }
}

TEST(Along, ARowsDrawsAreItsOwnWhateverItsNeighboursDo) {
  // Row 0 draws three times, row 1 only the second and third time: its first draw follows its first
  // path.
  const at::Tensor like = rows(2);
  Noise step = Noise(7, "rows").along(0.5, 0.2), plain = Noise(7, "rows").along(0.5, 0.2);
  const at::Tensor d[] = {plain.normal(like), plain.normal(like), plain.normal(like)},
                   zero = at::zeros({3}, at::kDouble);
  EXPECT_TRUE(at::equal(step.rows(PerRow({1, 0})).normal(like), at::stack({d[0][0], zero})));
  EXPECT_TRUE(at::equal(step.normal(like), at::stack({d[1][0], d[0][1]})));
  EXPECT_TRUE(at::equal(step.rows(PerRow({0, 1})).normal(like), at::stack({zero, d[1][1]})));
  EXPECT_TRUE(at::equal(step.normal(like), at::stack({d[2][0], d[2][1]})));
}

TEST(Scripted, GivesTheDrawsInOrderWithTheirStreamsPaths) {
  std::vector<std::tuple<Noise::Law, std::string, std::int64_t>> asked;
  Noise root = Noise::scripted(
      [&](const at::Tensor& like, Noise::Law law, std::string_view path, std::int64_t n) {
        asked.emplace_back(law, path, n);
        return at::full_like(like, static_cast<double>(asked.size()));
      });
  Noise a = root.stream("a"), deeper = a.stream("b", 2);
  const at::Tensor got[] = {root.normal(rows(2)), root.uniform(rows(2)), a.normal(rows(2)),
                            deeper.sign(rows(2)), root.normal(rows(2)),  deeper.normal(rows(2))};
  for (int k = 0; k < 6; ++k)
    EXPECT_TRUE(at::equal(got[k], at::full({2, 3}, k + 1.0, at::kDouble))) << k;
  using Law = Noise::Law;
  EXPECT_EQ(asked, (decltype(asked){{Law::normal, "", 0},
                                    {Law::uniform, "", 1},
                                    {Law::normal, "/a#0", 0},
                                    {Law::sign, "/a#0/b#2", 0},
                                    {Law::normal, "", 2},
                                    {Law::normal, "/a#0/b#2", 1}}));
}

TEST(Scripted, RowsThatAreOffGetZero) {
  Noise noise = Noise::scripted([](const at::Tensor& like, Noise::Law, std::string_view,
                                   std::int64_t) { return at::ones_like(like); });
  const at::Tensor x = noise.rows(PerRow({1, 0, 1})).normal(rows(3)),
                   none = noise.rows(0).normal(rows(3));
  EXPECT_TRUE(at::equal(x, at::tensor({1.0, 0.0, 1.0}, at::kDouble).unsqueeze(1).expand({3, 3})));
  EXPECT_EQ(largest(none), 0);
}

TEST(Scripted, HasNoPath) {
  Noise noise = Noise::scripted([](const at::Tensor& like, Noise::Law, std::string_view,
                                   std::int64_t) { return at::ones_like(like); });
  EXPECT_THROW(noise.brownian(rows(2), 0, 1), Error);
  EXPECT_THROW(noise.along(1, 0.5).normal(rows(2)), Error);
}

}  // namespace
}  // namespace scorelab::test
