#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <scorelab/error.h>

#include "model/condition.h"
#include "testing.h"

namespace scorelab::test {
namespace {

using testing::HasSubstr;

/// Takes a class, a vector with a null of its own, and two tokens; what it was told stays in
/// `seen`.
class Listening final : public Told {
 public:
  Listening()
      : Told([this](const Input& in) {
          seen.push_back(in.condition);
          return in.x.clone();
        }) {}
  std::vector<ConditionType> conditions() const override {
    return {class_label(3),
            {.name = "place",
             .shape = {2},
             .dtype = at::kFloat,
             .null = at::tensor({7.0, 8.0}, at::kDouble)},
            {.name = "tokens", .shape = {2}}};
  }
  std::vector<Condition> seen;
};

struct Heard {
  std::shared_ptr<Listening> network = std::make_shared<Listening>();
  Fixture f{std::make_shared<Mixed>(), network};
  Heard() {
    f.context->condition["label"] = at::tensor({0, 1, 2, 0, 1}, at::kLong);
    f.context->condition["place"] = numbers({5, 2}).to(at::kFloat);
    f.context->condition["tokens"] = at::arange(10, at::kLong).view({5, 2});
    f.context->condition["unheard"] = at::zeros({5}, at::kLong);
  }
};

TEST(Conditions, AreHandedOverByNameInXsType) {
  const Heard h;
  h.f.model()(numbers({5, 2}), 0.5);
  const Condition& told = h.network->seen.at(0);
  EXPECT_EQ(told.size(), 3u) << "and no other";
  EXPECT_TRUE(told.at("label").equal(at::tensor({0, 1, 2, 0, 1}, at::kLong)));
  EXPECT_TRUE(told.at("tokens").equal(at::arange(10, at::kLong).view({5, 2})));
  EXPECT_EQ(told.at("place").scalar_type(), at::kDouble);
  EXPECT_LT(distance(told.at("place"), numbers({5, 2})), 1e-7);
}

TEST(Conditions, AskedWithoutEachIsItsNull) {
  const Heard h;
  const at::Tensor x = numbers({5, 2});
  h.f.model().unconditional()(x, 0.5);
  Fixture alone{std::make_shared<Mixed>(), h.network};  // outside of any call there is no condition
  alone.model()(x, 0.5);
  for (const Condition& told : h.network->seen) {
    EXPECT_TRUE(told.at("label").equal(at::full({5}, -1, at::kLong)));
    EXPECT_TRUE(told.at("tokens").equal(at::full({5, 2}, -1, at::kLong)));
    EXPECT_TRUE(told.at("place").equal(at::tensor({7.0, 8.0}, at::kDouble).expand({5, 2})));
  }
  EXPECT_EQ(h.network->seen.size(), 2u);
}

TEST(Conditions, RowsThatAreNotToldHaveTheNullInEveryChunk) {
  const Heard h;
  h.f.context->told = at::tensor({1, 0, 1, 0, 1}, at::kLong).to(at::kBool);
  h.f.context->chunk = 2;
  h.f.model()(numbers({5, 2}), 0.5);
  ASSERT_EQ(h.network->seen.size(), 3u);
  EXPECT_TRUE(h.network->seen[0].at("label").equal(at::tensor({0, -1}, at::kLong)));
  EXPECT_TRUE(
      h.network->seen[1].at("tokens").equal(at::tensor({4, 5, -1, -1}, at::kLong).view({2, 2})));
  EXPECT_TRUE(h.network->seen[2].at("label").equal(at::tensor({1, 1}, at::kLong)))
      << "the last chunk is padded by its last row";
  EXPECT_EQ(h.network->seen[1].at("place")[1][0].item<double>(), 7);
}

TEST(Conditions, AreOfAsManyRowsAsX) {
  const Heard h;
  EXPECT_THROW(h.f.model()(numbers({4, 2}), 0.5), Error);
}

std::string refused(const std::vector<ConditionType>& types) {
  try {
    expect_valid(types);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Conditions, AreDeclaredAsTheyCanBeUsed) {
  EXPECT_EQ(refused({class_label(3), {.name = "tokens", .shape = {77}}}), "");
  for (const char* name : {"", "x", "nfe", "clean", "Label", "a/b", "a b", "über"})
    EXPECT_THAT(refused({{.name = name}}), HasSubstr("name")) << name;
  EXPECT_THAT(refused({class_label(3), class_label(3)}), HasSubstr("twice"));
  EXPECT_THAT(refused({{.name = "a", .dtype = at::kDouble}}), HasSubstr("kFloat"));
  EXPECT_THAT(refused({{.name = "a", .shape = {0}}}), HasSubstr("at least 1"));
  EXPECT_THAT(refused({{.name = "a", .shape = {2}, .null = at::zeros({3})}}), HasSubstr("null"));
}

std::string unfit(const std::vector<ConditionType>& given, const ConditionType& taken,
                  bool strict = true) {
  try {
    expect_given(given, taken, strict);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Conditions, ANetworkTakesWhatTheDataSetGives) {
  EXPECT_EQ(unfit({class_label(3)}, class_label(3)), "");
  EXPECT_EQ(unfit({class_label(3)}, class_label(5)), "");
  EXPECT_THAT(unfit({class_label(3)}, class_label(2)),
              HasSubstr("knows 2 classes of `label`, and the data set has 3"));
  EXPECT_THAT(unfit({class_label(3)}, {.name = "tokens"}), HasSubstr("gives label only"));
  EXPECT_EQ(unfit({class_label(3)}, {.name = "tokens"}, false), "");
  EXPECT_THAT(unfit({{.name = "tokens", .shape = {4}}}, {.name = "tokens", .shape = {5}}),
              HasSubstr("int64 [5], and the data set gives int64 [4]"));
  EXPECT_THAT(unfit({{.name = "tokens", .shape = {4}}},
                    {.name = "tokens", .shape = {4}, .dtype = at::kFloat}, false),
              HasSubstr("floats [4]"));
}

TEST(Conditions, OfSeveralNetworksTheFewestClassesCount) {
  std::vector<ConditionType> all{class_label(5)};
  merge(all, {class_label(3), {.name = "tokens", .shape = {4}}});
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(classes_of(all), 3);
  EXPECT_THROW(merge(all, {{.name = "tokens", .shape = {5}}}), Error);
}

}  // namespace
}  // namespace scorelab::test
