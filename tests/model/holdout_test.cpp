#include "model/holdout.h"

#include <gtest/gtest.h>
#include <scorelab/error.h>

#include <set>

#include "testing.h"

namespace scorelab::test {
namespace {

/// Items are their numbers, and come with them as labels.
struct Counting final : DataSet {
  explicit Counting(std::int64_t n) : n(n) {}
  std::int64_t size() const override { return n; }
  std::vector<std::int64_t> shape() const override { return {1}; }
  std::vector<ConditionType> conditions() const override { return {class_label(n)}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise&,
                 Condition& condition) const override {
    condition["label"] = at::tensor(index, at::kLong);
    return at::tensor(index, at::kDouble).unsqueeze(1);
  }
  std::int64_t n;
};

std::vector<std::int64_t> items(const DataSet& data) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(data.size()));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  Noise noise(1, "data");
  Condition condition;
  const at::Tensor x = data.get(all, noise, condition);
  EXPECT_TRUE(condition["label"].to(at::kDouble).equal(x.squeeze(1)));
  return {condition["label"].const_data_ptr<std::int64_t>(),
          condition["label"].const_data_ptr<std::int64_t>() + data.size()};
}

TEST(Holdout, IsAShareThatTheRestDoesNotHold) {
  const auto whole = std::make_shared<Counting>(100);
  const auto [seen, held] = hold_out(whole, 0.3);
  const auto a = items(*seen), b = items(*held);
  EXPECT_EQ(a.size(), 70u);
  EXPECT_EQ(b.size(), 30u);
  std::set<std::int64_t> all(a.begin(), a.end());
  all.insert(b.begin(), b.end());
  EXPECT_EQ(all.size(), 100u);
  EXPECT_NE(b, std::vector<std::int64_t>(b.size())) << "and not the first of them";
  EXPECT_GT(b.back(), 60);
  EXPECT_LT(b.front(), 40);
  EXPECT_EQ(items(*hold_out(whole, 0.3).second), b) << "always the same ones";
}

TEST(Holdout, LeavesSomethingOnBothSides) {
  EXPECT_THROW(hold_out(std::make_shared<Counting>(0), 0.5), Error);
  EXPECT_THROW(hold_out(std::make_shared<Counting>(3), 0.1), Error);
  EXPECT_THROW(hold_out(std::make_shared<Counting>(3), 0.9), Error);
  EXPECT_EQ(hold_out(std::make_shared<Counting>(3), 0.4).second->size(), 1);
}

}  // namespace
}  // namespace scorelab::test
