#include <gtest/gtest.h>
#include <scorelab/metric.h>

#include <algorithm>
#include <map>

#include "testing.h"

namespace scorelab::test {
namespace {

at::Tensor normal(std::int64_t rows, std::int64_t D, std::uint64_t seed) {
  return Noise(seed, "samples").normal(at::empty({rows, D}, at::kDouble));
}

double measure(const std::string& name, const Items& samples, const Items& reference,
               const Json& params = Json::object(), const std::string& part = "") {
  const Json config = plugin("metric", name, params);
  Noise noise(13, "metric");
  for (const Measurement& m :
       host::make_as<Metric>(config)->measure({samples, reference, nullptr, noise}))
    if (m.name == part) return m.value;
  ADD_FAILURE() << part;
  return 0;
}

TEST(Items, BatchesAreNoLargerThan64MiB) {
  // Half a gigabyte of images, none of which is there before it is asked for.
  std::int64_t most = 0, next = 0, all = 0;
  const Items images(5000, {3, 64, 64}, [&](std::int64_t first, std::int64_t count) {
    EXPECT_EQ(first, next);
    next = first + count;
    most = std::max(most, count);
    return at::full({count, 3, 64, 64}, static_cast<double>(first), at::kDouble);
  });
  images.in_batches([&](const at::Tensor& batch) { all += batch.size(0); });
  EXPECT_EQ(all, 5000);
  EXPECT_LE(most * 3 * 64 * 64 * 8, 64 << 20);
  EXPECT_GT(most, 500);
  EXPECT_THROW(images.rows(4999, 2), Error);
  EXPECT_EQ(images.head(10).size(), 10);
  EXPECT_EQ(images.head(10000).size(), 5000);
}

TEST(RunningMoments, OfPartsAreThoseOfTheWhole) {
  const at::Tensor x = normal(1000, 3, 1) + 1e4, mean = x.mean(0), off = x - mean,
                   S = off.t().matmul(off) / 999;
  RunningMoments parts;
  for (const auto& part : x.split_with_sizes({1, 500, 2, 497})) parts.add(part);
  EXPECT_EQ(parts.count(), 1000);
  EXPECT_LT((parts.mean() - mean).abs().max().item<double>(), 1e-11);
  EXPECT_LT((parts.covariance() - S).abs().max().item<double>(), 1e-10);
  RunningMoments whole;
  whole.add(x);
  EXPECT_TRUE(whole.covariance().equal(S)) << "one batch: the same bits as the formula's";
}

/// Images of many numbers, so that 3,000 of them are several batches.
TEST(Metrics, TakeWhatIsReadInBatchesAsWhatIsThere) {
  const at::Tensor x = normal(3000, 4096, 1), y = 1.1 * normal(3000, 4096, 2);
  std::int64_t reads = 0;
  const auto lazily = [&reads](const at::Tensor& all) {
    return Items(all.size(0), {all.size(1)}, [&reads, all](std::int64_t first, std::int64_t count) {
      ++reads;
      return all.narrow(0, first, count);
    });
  };
  const double whole = measure("sliced-wasserstein", x, y, {{"projections", 20}}),
               lazy = measure("sliced-wasserstein", lazily(x), lazily(y), {{"projections", 20}});
  EXPECT_NEAR(lazy, whole, 1e-12);
  EXPECT_EQ(reads, 4) << "two batches each";
}

/// More rows than a tile has, and more pairs than the median keeps at once, against the formulas on
/// whole matrices.
TEST(Metrics, ByTilesAreThoseOfWholeMatrices) {
  const std::int64_t n = 2500;
  const at::Tensor x = normal(n, 3, 1), y = 1.2 * normal(n, 3, 2) + 0.3;
  const at::Tensor xx = (x.unsqueeze(1) - x.unsqueeze(0)).square().sum(2),
                   yy = (y.unsqueeze(1) - y.unsqueeze(0)).square().sum(2),
                   xy = (x.unsqueeze(1) - y.unsqueeze(0)).square().sum(2),
                   others = at::eye(n, at::kDouble) == 0;
  const at::Tensor sorted = std::get<0>(yy.masked_select(others).sort());
  const double median = sorted[(n * (n - 1) - 1) / 2].item<double>(),
               pairs = static_cast<double>(n * (n - 1));
  const auto k = [&](const at::Tensor& d) { return (d / (-2 * median)).exp(); };
  const double mmd = (k(xx).masked_select(others).sum() / pairs +
                      k(yy).masked_select(others).sum() / pairs - 2 * k(xy).mean())
                         .item<double>();
  EXPECT_NEAR(measure("mmd", x, y, {{"widths", {1.0}}, {"count", n}}), mmd, 1e-10);
  const double energy =
      (2 * xy.sqrt().mean() - xx.sqrt().sum() / pairs - yy.sqrt().sum() / pairs).item<double>();
  EXPECT_NEAR(measure("energy-distance", x, y, {{"count", n}}), energy, 1e-9);
  const auto radii = [](const at::Tensor& d) { return std::get<0>(d.kthvalue(4, 1)); };
  const auto share = [](const at::Tensor& inside) {
    return inside.to(at::kDouble).mean().item<double>();
  };
  EXPECT_EQ(measure("precision-recall", x, y, {{"count", n}}, "precision"),
            share((xy <= radii(yy).unsqueeze(0)).any(1)));
  EXPECT_EQ(measure("precision-recall", x, y, {{"count", n}}, "recall"),
            share((xy <= radii(xx).unsqueeze(1)).any(0)));
}

/// All distances but a few are one number: no histogram can narrow the interval further.
TEST(Mmd, TheMedianOfEqualDistancesIsTheirs) {
  const at::Tensor x =
      at::cat({at::zeros({1250, 1}, at::kDouble), at::ones({1250, 1}, at::kDouble)});
  const at::Tensor k = at::tensor({1.0, std::exp(-0.5)}, at::kDouble);
  // Pairs at distance 0: 1250 * 1249 * 2 of 2500 * 2499, fewer than half, so that the median is 1.
  const double same = 2.0 * 1250 * 1249 / (2500.0 * 2499),
               within = same + (1 - same) * std::exp(-0.5), across = 0.5 + 0.5 * std::exp(-0.5);
  EXPECT_NEAR(measure("mmd", x, x, {{"widths", {1.0}}, {"count", 2500}}), 2 * within - 2 * across,
              1e-12);
}

/// More than half of the pairs are of equal points, so that the median is 0 and every other pair is
/// far: the kernel is 1 or 0.
TEST(Mmd, TheMedianMayBeZero) {
  const at::Tensor x =
      at::cat({at::zeros({2200, 1}, at::kDouble), at::ones({300, 1}, at::kDouble)});
  const double same = (2200.0 * 2199 + 300.0 * 299) / (2500.0 * 2499),
               across = (2200.0 * 2200 + 300.0 * 300) / (2500.0 * 2500);
  EXPECT_NEAR(measure("mmd", x, x, {{"widths", {1.0}}, {"count", 2500}}), 2 * same - 2 * across,
              1e-12);
  EXPECT_THROW(measure("mmd", x, x / 0.0, {{"count", 2500}}), Error);
}

}  // namespace
}  // namespace scorelab::test
