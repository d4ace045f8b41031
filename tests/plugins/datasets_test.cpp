#include <gtest/gtest.h>
#include <scorelab/dataset.h>

#include "testing.h"

namespace scorelab::test {
namespace {

/// A data set, prepared with a process that it does not look at.
std::shared_ptr<DataSet> dataset(const std::string& name, Json params = Json::object()) {
  const Json config = plugin("dataset", name, std::move(params));
  host::check_all(config);
  const auto out = host::make_as<DataSet>(config);
  const World w = world(plugin("scheduler", "vp"), nullptr, {1});
  host::prepare(out, config, w.setting());
  return out;
}

struct Drawn {
  at::Tensor x, label;
};
Drawn drawn(const DataSet& set, std::int64_t rows, std::int64_t first = 0) {
  Noise noise(9, "data", first);
  Condition condition;
  const at::Tensor x =
      set.get(std::vector<std::int64_t>(static_cast<std::size_t>(rows)), noise, condition);
  return {x, condition.count("label") ? condition["label"] : at::Tensor()};
}

const std::int64_t n = 40000;
at::Tensor covariance(const at::Tensor& x) {
  const at::Tensor off = x - x.mean(0);
  return off.t().matmul(off) / static_cast<double>(x.size(0));
}
double largest(const at::Tensor& x) { return x.abs().max().item<double>(); }

TEST(Gaussian, VariancesMayFallAsAPower) {  // k^-2: 1, 1/4, 1/9, 1/16, whose mean is 205/576
  const auto law = *dataset("gaussian", {{"dim", 4}, {"std", {0.5}}, {"power", 2.0}})->exact();
  const double mean = 205 / 576.;
  for (int k = 1; k <= 4; ++k)
    EXPECT_NEAR(law.variances[0][k - 1].item<double>(), 0.25 / (k * k * mean), 1e-15);
  EXPECT_THROW(dataset("gaussian", {{"dim", 2}, {"std", {0.5, 1.0}}, {"power", 2.0}}), Error);
}

TEST(Gaussian, HasItsMomentsAndStatesThem) {
  const auto set =
      dataset("gaussian", {{"dim", 3}, {"mean", {1.0, -2.0, 0.0}}, {"std", {0.5, 1.0, 0.0}}});
  const at::Tensor x = drawn(*set, n).x;
  EXPECT_LT(largest(x.mean(0) - at::tensor({1.0, -2.0, 0.0}, at::kDouble)),
            4 / std::sqrt(static_cast<double>(n)));
  EXPECT_LT(largest(covariance(x) - at::diag(at::tensor({0.25, 1.0, 0.0}, at::kDouble))),
            4 * std::sqrt(2.0 / n));
  EXPECT_TRUE(at::equal(x.select(1, 2), at::zeros({n}, at::kDouble)));  // std 0: an atom
  EXPECT_TRUE(at::equal(set->exact()->means, row({1.0, -2.0, 0.0})));
  EXPECT_TRUE(at::equal(set->exact()->variances, row({0.25, 1.0, 0.0})));
}

TEST(GaussianMixture, DrawsItsComponentsWithTheirWeightsMeansAndCovariances) {
  const Json params{{"means", {{1.0, 0.0}, {-1.0, 2.0}}},
                    {"weights", {3.0, 1.0}},
                    {"covariances", {{1.0, 0.6, 0.6, 0.5}, {0.04, 0.0, 0.0, 0.0}}}};
  const auto set = dataset("gaussian-mixture", params);
  const auto [x, label] = drawn(*set, n);
  const at::Tensor S[] = {at::tensor({1.0, 0.6, 0.6, 0.5}, at::kDouble).view({2, 2}),
                          at::tensor({0.04, 0.0, 0.0, 0.0}, at::kDouble).view({2, 2})};
  const double weight[] = {0.75, 0.25}, mean[][2] = {{1, 0}, {-1, 2}};
  for (std::int64_t k = 0; k < 2; ++k) {
    const at::Tensor own = x.index_select(0, (label == k).nonzero().squeeze(1));
    EXPECT_NEAR(static_cast<double>(own.size(0)) / n, weight[k], 4 * std::sqrt(0.1875 / n));
    EXPECT_LT(largest(own.mean(0) - at::tensor({mean[k][0], mean[k][1]}, at::kDouble)),
              4 / std::sqrt(weight[k] * n));
    EXPECT_LT(largest(covariance(own) - S[k]), 4 * std::sqrt(2 / (weight[k] * n)));
  }
  const Law law = *set->exact();
  EXPECT_LT(largest(law.weights - at::tensor({0.75, 0.25}, at::kDouble)), 1e-15);
  for (std::int64_t k = 0; k < 2; ++k)
    EXPECT_LT(
        largest(law.bases[k].matmul(at::diag(law.variances[k])).matmul(law.bases[k].t()) - S[k]),
        1e-14);
}

TEST(GaussianMixture, AtomsLieOnARingOfNeighboursAtTheirSeparation) {
  const auto set =
      dataset("gaussian-mixture", {{"modes", 5}, {"separation", 1.5}, {"std", {0.0}}, {"dim", 3}});
  const auto [x, label] = drawn(*set, 1000);
  const at::Tensor means = set->exact()->means;
  EXPECT_TRUE(at::equal(x, means.index_select(0, label)));
  for (std::int64_t k = 0; k < 5; ++k)
    EXPECT_NEAR((means[k] - means[(k + 1) % 5]).norm().item<double>(), 1.5, 1e-12);
  EXPECT_EQ(largest(means.select(1, 2)), 0);
}

TEST(DataSets, ASampleIsAFunctionOfItsIndexInTheStream) {
  for (const char* name :
       {"gaussian", "gaussian-mixture", "two-moons", "checkerboard", "swiss-roll"}) {
    const auto set = dataset(name);
    const at::Tensor all = drawn(*set, 20).x;
    EXPECT_TRUE(at::equal(drawn(*set, 7, 5).x, all.narrow(0, 5, 7))) << name;
    EXPECT_EQ(set->size(), 0);
    EXPECT_EQ(set->shape(), (std::vector<std::int64_t>{2}));
  }
}

TEST(Checkerboard, FillsTheBlackFieldsEvenly) {
  const at::Tensor x = drawn(*dataset("checkerboard", {{"fields", 4}, {"side", 8.0}}), n).x,
                   cell = ((x + 4) / 2).floor().to(at::kLong);
  EXPECT_TRUE(((cell >= 0) & (cell < 4)).all().item<bool>());
  EXPECT_EQ(largest((cell.sum(1).remainder(2)).to(at::kDouble)), 0);  // the colour
  const at::Tensor counts =
      at::bincount(cell.select(1, 0) * 4 + cell.select(1, 1), {}, 16).to(at::kDouble) / n;
  EXPECT_LT(largest(counts.masked_select(counts > 0) - 0.125), 4 * std::sqrt(0.125 * 0.875 / n));
  EXPECT_EQ((counts > 0).sum().item<std::int64_t>(), 8);
}

TEST(TwoMoons, LieOnTwoHalfCirclesWithoutNoise) {
  const at::Tensor x = drawn(*dataset("two-moons", {{"noise", 0.0}}), n).x;
  // not centred: circles at (0, 0), upper, and (1, 1/2), lower
  const at::Tensor px = x.select(1, 0) + 0.5, py = x.select(1, 1) + 0.25;
  const at::Tensor upper = ((px.square() + py.square()).sqrt() - 1).abs() + (-py).clamp_min(0);
  const at::Tensor lower =
      (((px - 1).square() + (py - 0.5).square()).sqrt() - 1).abs() + (py - 0.5).clamp_min(0);
  EXPECT_LT(largest(at::minimum(upper, lower)), 1e-12);
  EXPECT_NEAR((upper < 1e-9).to(at::kDouble).mean().item<double>(), 0.5,
              4 * 0.5 / std::sqrt(static_cast<double>(n)));
  EXPECT_LT(largest(x.mean(0)), 4 / std::sqrt(static_cast<double>(n)));
}

TEST(SwissRoll, LiesOnItsSpiralWithoutNoise) {
  const at::Tensor x = drawn(*dataset("swiss-roll", {{"noise", 0.0}}), n).x * 7,
                   radius = x.norm(2, 1);  // radius = angle, from 1.5 pi to 4.5 pi
  EXPECT_LT(largest(x.select(1, 0) - radius * radius.cos()), 1e-10);
  EXPECT_LT(largest(x.select(1, 1) - radius * radius.sin()), 1e-10);
  EXPECT_NEAR(radius.min().item<double>(), 1.5 * M_PI, 0.01);
  EXPECT_NEAR(radius.max().item<double>(), 4.5 * M_PI, 0.01);
  EXPECT_NEAR(radius.mean().item<double>(), 3 * M_PI, 4 * 3 * M_PI / std::sqrt(12.0 * n));
}

/// A stored set as a whole; skips the test where its files are not here.
#define STORED(variable, folder, ...) \
  try {                               \
    find_data(folder);                \
  } catch (const Error& e) {          \
    GTEST_SKIP() << e.what();         \
  }                                   \
  const auto variable = dataset(__VA_ARGS__)

Drawn stored(const DataSet& set, std::int64_t rows, std::uint64_t seed = 9) {
  std::vector<std::int64_t> index(static_cast<std::size_t>(rows));
  for (std::int64_t i = 0; i < rows; ++i) index[static_cast<std::size_t>(i)] = i;
  Noise noise(seed, "data");
  Condition condition;
  const at::Tensor x = set.get(index, noise, condition);
  return {x.to(at::kDouble), condition["label"]};
}

std::vector<std::int64_t> first_labels(const at::Tensor& label) {
  return {label.const_data_ptr<std::int64_t>(), label.const_data_ptr<std::int64_t>() + 10};
}

TEST(Digits, HasItsPublishedStatistics) {
  STORED(set, "digits/digits.csv.gz", "digits");
  EXPECT_EQ(set->size(), 1797);
  EXPECT_EQ(set->shape(), (std::vector<std::int64_t>{1, 8, 8}));
  const auto [x, label] = stored(*set, 1797);
  EXPECT_EQ((x * 16).sum().item<double>(), 561718);
  EXPECT_NEAR((x * 16).std(false).item<double>(), 6.016788, 1e-6);
  EXPECT_TRUE(at::equal(at::bincount(label),
                        at::tensor({178, 182, 177, 183, 181, 182, 181, 179, 174, 180}, at::kLong)));
  EXPECT_TRUE(at::allclose(x[0][0][0] * 16, at::tensor({0, 0, 5, 13, 9, 1, 0, 0}, at::kDouble)));
}

TEST(Digits, SplitsWithoutOverlap) {
  STORED(train, "digits/digits.csv.gz", "digits", {{"split", "train"}});
  const auto all = dataset("digits"), test = dataset("digits", {{"split", "test"}});
  EXPECT_EQ(train->size() + test->size(), 1797);
  EXPECT_TRUE(
      at::equal(at::cat({stored(*train, 1500).x, stored(*test, 297).x}), stored(*all, 1797).x));
}

TEST(Digits, MapsFlipsAndDequantises) {
  STORED(plain, "digits/digits.csv.gz", "digits", {{"range", {-3.0, 1.0}}});
  EXPECT_EQ(plain->to_model().scale, 4);
  EXPECT_EQ(plain->to_model().shift, -3);
  const at::Tensor x = stored(*plain, 200).x;
  EXPECT_GE(x.min().item<double>(), 0);
  EXPECT_LE(x.max().item<double>(), 1);
  // 17 grey levels
  const at::Tensor noisy = stored(*dataset("digits", {{"dequantise", true}}), 200).x,
                   bytes = (noisy * 17).floor();
  EXPECT_LT(largest(bytes - x * 16), 1e-5);
  EXPECT_NEAR((noisy * 17 - bytes).mean().item<double>(), 0.5, 4 / std::sqrt(12.0 * 12800));
  const at::Tensor flipped = stored(*dataset("digits", {{"flip", true}}), 200).x;
  std::int64_t turned = 0;
  for (std::int64_t i = 0; i < 200; ++i) {
    const bool same = at::equal(flipped[i], x[i]);
    EXPECT_TRUE(same || at::equal(flipped[i], x[i].flip({2}))) << i;
    turned += !same;
  }
  EXPECT_NEAR(static_cast<double>(turned), 100, 4 * std::sqrt(50.0));
  EXPECT_THROW(dataset("digits", {{"range", {1.0, -1.0}}}), host::PluginError);
}

TEST(Disks, SayWhetherTheyAreLarge) {
  const auto set = dataset("disks", {{"labels", true}, {"side", 32}});
  std::vector<std::int64_t> index(200);
  Noise noise(3, "data");
  Condition condition;
  const at::Tensor lit = (set->get(index, noise, condition) > 0).to(at::kDouble).sum({1, 2, 3}),
                   large = condition.at("label") == 1;
  EXPECT_EQ(classes_of(set->conditions()), 2);
  EXPECT_NEAR(static_cast<double>(large.sum().item<std::int64_t>()), 100, 4 * std::sqrt(50.0));
  // radii below and above 0.2 of the side, by about one pixel of the edge
  const double area = 3.14159 * std::pow(0.2 * 32, 2), edge = 2 * 3.14159 * 0.2 * 32;
  EXPECT_LT(lit.masked_select(~large).max().item<double>(), area + edge);
  EXPECT_GT(lit.masked_select(large).min().item<double>(), area - edge);
}

TEST(Idx, HasThePublishedStatisticsOfMnistAndFashionMnist) {
  STORED(mnist, "mnist/t10k-images-idx3-ubyte.gz", "idx", {{"set", "mnist"}, {"split", "test"}});
  EXPECT_EQ(mnist->size(), 10000);
  EXPECT_EQ(mnist->shape(), (std::vector<std::int64_t>{1, 28, 28}));
  const auto [x, label] = stored(*mnist, 10000);
  EXPECT_EQ((x * 255).round().sum().item<double>(), 264923200);
  EXPECT_EQ(first_labels(label), (std::vector<std::int64_t>{7, 2, 1, 0, 4, 1, 4, 9, 5, 9}));
  STORED(fashion, "fashion-mnist/t10k-images-idx3-ubyte.gz", "idx",
         {{"set", "fashion-mnist"}, {"split", "test"}});
  const auto [y, kinds] = stored(*fashion, 10000);
  EXPECT_EQ((y * 255).round().sum().item<double>(), 573469082);
  EXPECT_NEAR(y.std(false).item<double>(), 0.352444, 1e-6);
  EXPECT_EQ(first_labels(kinds), (std::vector<std::int64_t>{9, 2, 1, 1, 6, 1, 4, 6, 5, 7}));
}

TEST(Cifar10, HasThePublishedStatisticsOfItsTestSet) {
  STORED(set, "cifar10/test_batch.bin", "cifar10", {{"split", "test"}});
  EXPECT_EQ(set->size(), 10000);
  EXPECT_EQ(set->shape(), (std::vector<std::int64_t>{3, 32, 32}));
  const auto [x, label] = stored(*set, 10000);
  EXPECT_EQ((x * 255).round().sum().item<double>(), 3733375634);
  EXPECT_LT(largest(x.mean({0, 2, 3}) - at::tensor({0.494214, 0.485131, 0.450409}, at::kDouble)),
            1e-6);
  EXPECT_EQ(first_labels(label), (std::vector<std::int64_t>{3, 8, 8, 0, 6, 6, 1, 6, 3, 1}));
  EXPECT_TRUE(at::allclose(x[0][0][0].narrow(0, 0, 5) * 255,
                           at::tensor({158, 159, 165, 166, 160}, at::kDouble)));
}

}  // namespace
}  // namespace scorelab::test
