#include <gtest/gtest.h>
#include <scorelab/metric.h>

#include <map>

#include "testing.h"

namespace scorelab::test {
namespace {

std::map<std::string, double> measure(const std::string& name, const Json& params,
                                      const at::Tensor& samples, const at::Tensor& reference,
                                      const Law* law = nullptr, const Moments* moments = nullptr) {
  const Json config = plugin("metric", name, params);
  host::check_all(config);
  Noise noise(13, "metric");
  std::map<std::string, double> out;
  for (const Measurement& m :
       host::make_as<Metric>(config)->measure({samples, reference, law, noise, moments}))
    out[m.name] = m.value;
  return out;
}

at::Tensor normal(std::int64_t rows, std::int64_t D, std::uint64_t seed) {
  return Noise(seed, "samples").normal(at::empty({rows, D}, at::kDouble));
}

at::Tensor points(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble).unsqueeze(1);
}

at::Tensor covariance(const at::Tensor& x) {
  const at::Tensor off = x - x.mean(0);
  return off.t().matmul(off) / static_cast<double>(x.size(0) - 1);
}

TEST(Frechet, OfAScaledAndShiftedCopyIsInClosedForm) {  // |d|^2 + (c - 1)^2 tr S
  const at::Tensor x = normal(200, 3, 1), d = row({1.0, -2.0, 2.0});
  auto got = measure("frechet", Json::object(), 1.5 * (x - x.mean(0)) + x.mean(0) + d, x);
  EXPECT_NEAR(got["mean"], 9, 1e-10);
  EXPECT_NEAR(got["covariance"], 0.25 * covariance(x).trace().item<double>(), 1e-10);
  EXPECT_NEAR(got[""], got["mean"] + got["covariance"], 1e-12);
}

// tr (S1 S2)^1/2 = sum of the roots of the eigenvalues of S1 S2, not symmetric
TEST(Frechet, OfAxesThatDifferTakesTheRootOfTheProduct) {
  const at::Tensor x = normal(300, 2, 1).matmul(
                       at::tensor({2.0, 0.3, -0.5, 0.7}, at::kDouble).view({2, 2})),
                   y = normal(300, 2, 2).matmul(
                           at::tensor({0.4, 1.1, 0.9, -0.2}, at::kDouble).view({2, 2})) +
                       1;
  const at::Tensor S = covariance(x), R = covariance(y), P = S.matmul(R), d = x.mean(0) - y.mean(0);
  const double trace = P.trace().item<double>(),
               det = (P[0][0] * P[1][1] - P[0][1] * P[1][0]).item<double>();
  // (sqrt a + sqrt b)^2 = a + b + 2 sqrt(ab)
  const double root = std::sqrt(trace + 2 * std::sqrt(det));
  const double expected = (d.square().sum() + S.trace() + R.trace()).item<double>() - 2 * root;
  EXPECT_NEAR(measure("frechet", Json::object(), x, y)[""], expected, 1e-10);
  EXPECT_NEAR(measure("frechet", Json::object(), y, x)[""], expected, 1e-10);
}

TEST(Frechet, TakesTheLawWhereItIsKnown) {
  const Law law = gaussian({1.0, 0.0}, {2.0, 0.5});
  const at::Tensor x = normal(500, 2, 3);
  const at::Tensor S = covariance(x), R = at::tensor({4.0, 0.25}, at::kDouble).diag(),
                   P = S.matmul(R), d = x.mean(0) - law.means[0];
  const double root =
      std::sqrt((P.trace() + 2 * (P[0][0] * P[1][1] - P[0][1] * P[1][0]).sqrt()).item<double>());
  EXPECT_NEAR(measure("frechet", Json::object(), x, at::zeros_like(x), &law)[""],
              (d.square().sum() + S.trace() + R.trace()).item<double>() - 2 * root, 1e-10);
}

TEST(Frechet, OfExactMomentsIsThatOfTheirStandardDeviations) {  // papers.md, O19
  const Law law = gaussian({1.0, 0.0}, {2.0, 0.5});
  const Moments moments{at::tensor({0.0, 0.5}, at::kDouble), at::tensor({1.0, 0.09}, at::kDouble)};
  auto got = measure("frechet", Json::object(), {}, {}, &law, &moments);
  EXPECT_NEAR(got["mean"], 1.25, 1e-12);
  EXPECT_NEAR(got["covariance"], 1 + 0.04, 1e-12);
}

TEST(Kid, IsTheUnbiasedEstimateByItsFormula) {
  const int n = 12, m = 9, features = 3;
  const at::Tensor x = normal(n, features, 1), y = normal(m, features, 2) + 0.5;
  const auto kernel = [](const at::Tensor& a, const at::Tensor& b) {
    return std::pow(a.dot(b).item<double>() / features + 1, 3);
  };
  double of_x = 0, of_y = 0, between = 0;
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j)
      if (i != j) of_x += kernel(x[i], x[j]) / (n * (n - 1));
    for (int j = 0; j < m; ++j) between += kernel(x[i], y[j]) / (n * m);
  }
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < m; ++j)
      if (i != j) of_y += kernel(y[i], y[j]) / (m * (m - 1));
  EXPECT_NEAR(measure("kid", Json::object(), x, y)[""], of_x + of_y - 2 * between, 1e-12);
  EXPECT_THROW(measure("kid", Json::object(), x.narrow(0, 0, 1), y), Error);
}

TEST(EnergyDistance, IsTheUnbiasedEstimateByItsFormula) {
  const int n = 20;
  const at::Tensor x = normal(n, 2, 1), y = normal(n, 2, 2) + 0.5;
  double between = 0, within = 0;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      between += (x[i] - y[j]).norm().item<double>() / (n * n);
      if (i != j)
        within += ((x[i] - x[j]).norm() + (y[i] - y[j]).norm()).item<double>() / (n * (n - 1));
    }
  EXPECT_NEAR(measure("energy-distance", Json::object(), x, y)[""], 2 * between - within, 1e-12);
}

TEST(PrecisionRecall, OfPointsOnALineByHand) {
  // With k = 1 the data's balls reach 1 from 0, 1, 2 and 7 from 9; the samples' 0.5 from 0.5 and 1,
  // and 9 or more from 10 and 30.
  const at::Tensor data = points({0, 1, 2, 9}), samples = points({0.5, 1, 10, 30});
  auto got = measure("precision-recall", {{"k", 1}}, samples, data);
  EXPECT_NEAR(got["precision"], 3 / 4., 1e-12);  // 30 is 21 from 9
  EXPECT_NEAR(got["recall"], 1, 1e-12);          // 2 lies within 10's ball of 9
  // 0.5 lies in the balls of 0 and 1; 1 in those of 0, 1 and 2; 10 in that of 9
  EXPECT_NEAR(got["density"], 6 / 4., 1e-12);
  EXPECT_NEAR(got["coverage"], 1, 1e-12);
  got = measure("precision-recall", {{"k", 1}}, points({0.5, 1}), points({0, 9}));
  EXPECT_NEAR(got["precision"], 1, 1e-12);
  EXPECT_NEAR(got["recall"], 1 / 2., 1e-12);  // 0 is half away from 0.5; 9 is far
  EXPECT_NEAR(got["density"], 2, 1e-12);      // both balls reach 9 far
  got =
      measure("precision-recall", {{"k", 2}}, points({0.1, 0.2, 0.3, 0.4}), points({0, 1, 2, 50}));
  EXPECT_NEAR(got["precision"], 1, 1e-12);
  EXPECT_NEAR(got["density"], (3 + 3 + 3 + 3) / (2. * 4), 1e-12);  // in the balls of 0, 1 and 2
  EXPECT_NEAR(got["coverage"], 3 / 4., 1e-12);
  got = measure("precision-recall", {{"k", 1}}, points({0.1, 0.2, 30, 31}), points({0, 1, 20, 21}));
  EXPECT_NEAR(got["coverage"], 2 / 4., 1e-12);  // of 0 and 1
  EXPECT_THROW(measure("precision-recall", {{"k", 2}}, points({0.5, 1}), points({0, 9})), Error);
}

TEST(ModeWeights, CountsBySoftMembership) {
  const Law law = three_modes();
  const at::Tensor x =
      at::cat({law.means.narrow(0, 0, 1).expand({6, 2}), law.means.narrow(0, 2, 1).expand({4, 2})});
  const at::Tensor one = at::ones({3}, at::kDouble);
  // The three components' densities at each mean, by the normal density in the plane.
  at::Tensor p = at::empty({3, 3}, at::kDouble);
  for (int i = 0; i < 3; ++i)
    for (int k = 0; k < 3; ++k) {
      const double v = law.variances[k][0].item<double>() + 1e-6,
                   d2 = (law.means[i] - law.means[k]).square().sum().item<double>();
      p[i][k] = law.weights[k].item<double>() * std::exp(-d2 / (2 * v)) / v;
    }
  p = p / p.sum(1, true);
  auto got = measure("mode-weights", Json::object(), x, {}, &law);
  double distance = 0;
  for (int k = 0; k < 3; ++k) {
    const double expected = (0.6 * p[0][k] + 0.4 * p[2][k]).item<double>();
    EXPECT_NEAR(got[std::to_string(k)], expected, 1e-12);
    distance += 0.5 * std::abs(expected - law.weights[k].item<double>());
  }
  EXPECT_NEAR(got[""], distance, 1e-12);
}

TEST(ModeWeights, OfPointsIsTheShareOfTheNearest) {
  const Law law{at::tensor({0.2, 0.8}, at::kDouble),
                at::tensor({-5.0, -5.0, 5.0, 5.0}, at::kDouble).view({2, 2}),
                at::zeros({2, 2}, at::kDouble),
                {}};
  const at::Tensor x =
      at::tensor({-4.0, -6.0, -1.0, 0.5, 6.0, 5.0, 0.0, 0.1}, at::kDouble).view({4, 2});
  auto got = measure("mode-weights", Json::object(), x, {}, &law);
  EXPECT_NEAR(got["0"], 0.5, 1e-12);
  EXPECT_NEAR(got["1"], 0.5, 1e-12);
  EXPECT_NEAR(got[""], 0.3, 1e-12);
}

/// Four numbers.
class Four final : public DataSet {
 public:
  std::int64_t size() const override { return 4; }
  std::vector<std::int64_t> shape() const override { return {1}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise&, Condition&) const override {
    return points({0, 1, 3, 7}).index_select(0, at::tensor(index, at::kLong));
  }
};

TEST(NearestNeighbour, FindsCopies) {
  const Json config = plugin("metric", "nearest-neighbour");
  const auto metric = host::make_as<Metric>(config);
  const Four data;
  const World w = exact(plugin("scheduler", "vp"), gaussian({0.0}, {1.0}));
  host::prepare(metric, config,
                {.scheduler = w.q.get(), .options = at::kDouble, .shape = {1}, .data = &data});
  Noise noise(13, "metric");
  std::map<std::string, double> got;
  // Nearest and next: 0.1, 0.9 | 0.5, 0.5 | 0, 1 | 1, 5. Among themselves the nearest are 1, 1, 2
  // and 4 away.
  for (const Measurement& m : metric->measure({points({0.1, 0.5, 1, 8}), {}, nullptr, noise}))
    got[m.name] = m.value;
  EXPECT_NEAR(got["memorised"], 3 / 4., 1e-12);
  EXPECT_NEAR(got[""], (0.1 + 0.5 + 0 + 1) / 4 / (8 / 4.), 1e-12);
}

}  // namespace
}  // namespace scorelab::test
