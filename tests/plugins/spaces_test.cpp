#include <gmock/gmock.h>
#include <scorelab/dataset.h>

#include "testing.h"

namespace scorelab::test {
namespace {

/// So many items of correlated elements, the same for all draws.
class Items final : public DataSet {
 public:
  explicit Items(at::Tensor x) : x_(std::move(x)) {}
  std::int64_t size() const override { return x_.size(0); }
  std::vector<std::int64_t> shape() const override { return x_.sizes().slice(1).vec(); }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise&, Condition&) const override {
    return x_.index_select(0, at::tensor(index, at::kLong));
  }

 private:
  at::Tensor x_;
};

at::Tensor correlated() {
  const at::Tensor mix = Noise(1, "mix").normal(at::empty({12, 12}, at::kDouble));
  return (3 + Noise(2, "items").normal(at::empty({9000, 12}, at::kDouble)).matmul(mix))
      .view({9000, 3, 2, 2});
}

std::shared_ptr<Space> pca(const DataSet& data, const Json& params) {
  const Json config = plugin("space", "pca", params);
  const auto out = host::make_as<Space>(config);
  host::check_all(config);
  host::prepare(out, config, {.options = at::kDouble, .shape = data.shape(), .data = &data});
  return out;
}

/// By the singular values of the items themselves: what is lost is their tail (Eckart & Young
/// 1936).
TEST(Pca, KeepsTheLargestSingularValues) {
  const Items data(correlated());
  const at::Tensor x = correlated(), flat = x.flatten(1), centred = flat - flat.mean(0);
  const auto [U, S, V] = at::linalg_svd(centred, false);
  for (const std::int64_t rank : {1, 5, 12}) {
    const auto space = pca(data, {{"rank", rank}, {"scale", "none"}});
    EXPECT_EQ(space->shape(), std::vector<std::int64_t>{rank});
    EXPECT_FALSE(space->affine());
    const at::Tensor z = space->encode(x, nullptr),
                     expected = centred.matmul(V.narrow(0, 0, rank).t());
    expect_close(z.abs(), expected.abs(), 1e-8);  // an eigenvector's sign is free
    const at::Tensor back = space->decode(z);
    ASSERT_EQ(back.sizes(), x.sizes());
    const double lost = (back - x).square().sum().item<double>(),
                 tail = S.narrow(0, rank, 12 - rank).square().sum().item<double>();
    EXPECT_NEAR(lost, tail, 1e-7 * S.square().sum().item<double>());
    expect_close(space->encode(back, nullptr), z, 1e-8);
  }
}

TEST(Pca, ScalesByOneNumberOrEachByItsOwn) {
  const Items data(correlated());
  const at::Tensor x = correlated();
  const auto variance = [&](const char* scale) {
    return pca(data, {{"rank", 4}, {"scale", scale}})->encode(x, nullptr).var(0, false);
  };
  EXPECT_NEAR(variance("whole").mean().item<double>(), 1, 1e-9);
  expect_close(variance("whole") / variance("none"),
               at::full({4}, 1 / variance("none").mean().item<double>(), at::kDouble), 1e-9);
  expect_close(variance("each"), at::ones({4}, at::kDouble), 1e-9);
}

TEST(Pca, RefusesWhatTheDataDoNotHave) {
  const Items data(correlated()), flat(at::ones({5, 3}, at::kDouble));
  const auto refused = [](const DataSet& of, const Json& params) {
    try {
      pca(of, params);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(refused(data, {{"rank", 13}}), testing::HasSubstr("an item has 12 elements"));
  EXPECT_THAT(refused(flat, {{"rank", 1}}), testing::HasSubstr("lower `rank`"));
  const Items few(correlated().narrow(0, 0, 5));  // they vary in four directions
  for (const char* scale : {"none", "whole", "each"}) {
    EXPECT_THAT(refused(few, {{"rank", 5}, {"scale", scale}}), testing::HasSubstr("lower `rank`"));
    EXPECT_EQ(refused(few, {{"rank", 4}, {"scale", scale}}), "");
  }
}

TEST(DataRange, IsTheDataSetsOwnMap) {
  const DataRange range({2, -1}, {3});
  const at::Tensor x = Noise(1, "x").normal(at::empty({5, 3}, at::kDouble)),
                   z = range.encode(x, nullptr);
  expect_close(z, 2 * x - 1, 1e-15);
  expect_close(range.decode(z), x, 1e-12);
  EXPECT_EQ(range.expect_affine().scale, 2);
}

}  // namespace
}  // namespace scorelab::test
