#include "compare/verdict.h"

#include <gtest/gtest.h>

#include "testing.h"

namespace scorelab::compare {
namespace {

using test::nan;
using test::put;

/// Two variants, a and b, at S = 10 and 20, three seeds.
class Verdicts : public testing::Test {
 protected:
  Verdicts() : data_(test::nothing_measured(test::comparison({"a", "b"}, {{"S", {"10", "20"}}}))) {}

  void both(const std::string& S, const std::vector<double>& a, const std::vector<double>& b) {
    put(data_, {{"variant", "a"}, {"S", S}}, "mmd", a);
    put(data_, {{"variant", "b"}, {"S", S}}, "mmd", b);
  }

  Verdict judged(const std::string& holds, const std::string& decide = "interval",
                 std::map<std::string, std::vector<std::string>> at = {}) {
    data_.comparison.claims = {{"claim", "", "", decide, {holds, {}}, std::move(at), {}}};
    return judge(data_).at(0);
  }
  Outcome outcome(const std::string& holds, const std::string& decide = "interval") {
    return judged(holds, decide).outcome;
  }

  Data data_;
};

TEST_F(Verdicts, AnIntervalOnOneSideOfZeroDecides) {
  both("10", {1.0, 1.1, 0.9}, {2.0, 2.2, 1.9});  // differences 1.0, 1.1, 1.0
  both("20", {1.0, 1.1, 0.9}, {2.0, 2.2, 1.9});
  EXPECT_EQ(outcome("mmd[a] < mmd[b]"), Outcome::pass);
  EXPECT_EQ(outcome("mmd[a] > mmd[b]"), Outcome::fail);
  EXPECT_EQ(outcome("mmd[b] > mmd[a]"), Outcome::pass);
  EXPECT_EQ(outcome("mmd[a] < 0.6 * mmd[b]"), Outcome::pass);
  EXPECT_EQ(outcome("mmd[a] < 0.3 * mmd[b]"), Outcome::fail);
}

TEST_F(Verdicts, AnIntervalThatHoldsZeroIsUndecided) {
  // differences 1.0, 0.1, -0.2: mean 0.3, half width 1.6
  both("10", {1.0, 1.1, 0.9}, {2.0, 1.2, 0.7});
  both("20", {1.0, 1.1, 0.9}, {2.0, 2.2, 1.9});
  const Verdict v = judged("mmd[a] < mmd[b]");
  EXPECT_EQ(v.outcome, Outcome::undecided) << "one instance is, and none fails";
  ASSERT_EQ(v.instances.size(), 2U);
  EXPECT_EQ(v.instances[0].outcome, Outcome::undecided);
  EXPECT_NE(v.instances[0].why.find("interval"), std::string::npos);
  EXPECT_NEAR(v.instances[0].margin, 0.3, 1e-12);
  EXPECT_NEAR(v.instances[0].interval.high - 0.3, 4.303 * std::sqrt((0.49 + 0.04 + 0.25) / 2 / 3),
              1e-3);
  EXPECT_EQ(v.instances[1].outcome, Outcome::pass);
}

TEST_F(Verdicts, TheMostTellingPlaceFailsOrIsTheNarrowest) {
  both("10", {1, 1, 1}, {1.5, 1.5, 1.5});
  both("20", {10, 10, 10}, {11, 11, 11});  // the larger margin, and the smaller share
  Verdict v = judged("mmd[a] < mmd[b]");
  EXPECT_EQ(most_telling(v), &v.instances[1]);
  EXPECT_EQ(numbers(v, v.instances[1]), "10 < 11");
  v = judged("mmd[a] < 1.2 * mmd[b] - 0.5");  // 1 < 1.3 and 10 < 12.7
  EXPECT_EQ(most_telling(v), &v.instances[1]);
  v = judged("mmd[a] < mmd[b] - 0.7");
  EXPECT_EQ(v.instances[0].outcome, Outcome::fail);
  EXPECT_EQ(most_telling(v), &v.instances[0]);
  v.instances[0] = v.instances[1];
  v.instances[0].margin = v.instances[0].sides[1] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(most_telling(v), &v.instances[1]) << "what is infinite is not narrow";
  v.instances.clear();
  EXPECT_EQ(most_telling(v), nullptr);
}

TEST_F(Verdicts, MedianEverySeedAndValueDecideBySigns) {
  // the median says a < b, the mean and the third seed b < a
  both("10", {1, 1, 1}, {1.1, 1.2, -5});
  both("20", {1, 1, 1}, {1.1, 1.2, -5});
  EXPECT_EQ(judged("mmd[a] < mmd[b]", "median").instances[0].sides, (std::vector<double>{1, 1.1}));
  EXPECT_NEAR(judged("mmd[a] < mmd[b]", "value").instances[0].sides[1], -0.9, 1e-12);
  EXPECT_EQ(outcome("mmd[a] < mmd[b]", "median"), Outcome::pass);
  EXPECT_EQ(outcome("mmd[a] < mmd[b]", "value"), Outcome::fail);
  EXPECT_EQ(outcome("mmd[a] < mmd[b]", "every-seed"), Outcome::fail);
  EXPECT_EQ(outcome("mmd[a] > mmd[b]", "value"), Outcome::pass);
  EXPECT_EQ(outcome("mmd[a] > mmd[b]", "every-seed"), Outcome::fail);
  EXPECT_EQ(outcome("mmd[a] < 2", "every-seed"), Outcome::pass);
}

TEST_F(Verdicts, EqualSidesAreNotLess) {
  both("10", {1, 1, 1}, {1, 1, 1});
  both("20", {1, 1, 1}, {1, 1, 1});
  for (const char* decide : {"interval", "median", "every-seed", "value"}) {
    EXPECT_EQ(outcome("mmd[a] < mmd[b]", decide), Outcome::fail) << decide;
    EXPECT_EQ(outcome("mmd[a] > mmd[b]", decide), Outcome::fail) << decide;
    EXPECT_EQ(outcome("mmd[a] <= mmd[b]", decide), Outcome::pass) << decide;
    EXPECT_EQ(outcome("mmd[a] = mmd[b]", decide), Outcome::pass) << decide;
  }
}

TEST_F(Verdicts, EqualMeansToRoundingInEverySeed) {
  both("10", {0.3, 0.3, 0.3}, {0.1 + 0.2, 0.3, 0.3});
  both("20", {1, 1, 1}, {1, 1, 1});
  EXPECT_EQ(outcome("mmd[a] = mmd[b]"), Outcome::pass);
  both("20", {1, 1, 1}, {1, 1, 1.0001});
  for (const char* decide : {"interval", "median", "every-seed", "value"})
    EXPECT_EQ(outcome("mmd[a] = mmd[b]", decide), Outcome::fail) << decide;
}

TEST_F(Verdicts, EveryRelationOfAChainMustHold) {
  both("10", {1, 1.1, 0.9}, {2, 2.1, 2});
  both("20", {1, 1.1, 0.9}, {2, 2.1, 2});
  EXPECT_EQ(outcome("0 < mmd[a] < mmd[b] < 3"), Outcome::pass);
  const Verdict v = judged("0 < mmd[a] < mmd[b] < 1.5");
  EXPECT_EQ(v.outcome, Outcome::fail);
  EXPECT_EQ(v.instances[0].sides.size(), 4U);
  EXPECT_NE(v.instances[0].why.find("2.033 < 1.5 does not hold"), std::string::npos)
      << v.instances[0].why;
  EXPECT_NEAR(v.instances[0].margin, 1.5 - 6.1 / 3, 1e-12) << "the tightest relation's";
  both("10", {1, 1.1, 0.9}, {2, 1, 0.8});
  EXPECT_EQ(judged("0 < mmd[a] < mmd[b] < -1").instances[0].outcome, Outcome::fail)
      << "a failed relation outweighs an undecided one";
}

TEST_F(Verdicts, NaNNeverPasses) {
  both("10", {1, 1, nan}, {2, 2, 2});
  both("20", {1, 1, 1}, {2, 2, 2});
  for (const char* decide : {"interval", "median", "every-seed", "value"}) {
    const Verdict v = judged("mmd[a] < mmd[b]", decide);
    EXPECT_EQ(v.outcome, Outcome::undecided) << decide;
    EXPECT_EQ(v.instances[0].outcome, Outcome::undecided);
    EXPECT_EQ(v.instances[0].why, "a value is not a number");
    EXPECT_EQ(v.instances[1].outcome, Outcome::pass);
  }
  for (const char* holds : {"mmd[a] = mmd[a]", "mmd[a] <= mmd[a]", "min(mmd[a], mmd[b]) < 9",
                            "-mmd[a] < 9", "sqrt(0 - mmd[b]) < 9", "0 < mmd[b] < mmd[a] * 9"})
    EXPECT_NE(judged(holds, "value").instances[0].outcome, Outcome::pass) << holds;
}

TEST_F(Verdicts, InfinityDoesNotPassAnInterval) {
  both("10", {1, 1, 1}, {2, 2, test::infinity});
  both("20", {1, 1, 1}, {2, 2, 2});
  EXPECT_NE(judged("mmd[a] < mmd[b]").instances[0].outcome, Outcome::pass);
}

TEST_F(Verdicts, MissingSeedsAndMissingCellsNeverPass) {
  both("10", {1, 1, 1}, {2, 2});
  for (const char* decide : {"interval", "median", "every-seed", "value"}) {
    const Verdict v = judged("mmd[a] < mmd[b]", decide);
    EXPECT_EQ(v.outcome, Outcome::undecided);
    EXPECT_EQ(v.instances[0].why, "1 of 3 trainings are missing");
    EXPECT_EQ(v.instances[1].why, "nothing is measured yet");
  }
  both("20", {2, 2, 2}, {1, 1, 1});
  EXPECT_EQ(outcome("mmd[a] < mmd[b]"), Outcome::fail)
      << "what is measured at S = 20 says so already";
}

// a lacks seed 0, b seed 2: only seed 1 has both
TEST_F(Verdicts, ASeedMustHaveEveryQuantityOfTheFormula) {
  both("10", {1, 1, 1}, {2, 2, 2});
  both("20", {1, 1, 1}, {2, 2, 2});
  const auto forget = [&](const Coordinates& at, std::int64_t seed) {
    for (auto& o : data_.observations)
      if (o.cell == data_.find(at) && o.sample_seed == seed) o.values.clear();
  };
  forget({{"variant", "a"}, {"S", "10"}}, 0);
  forget({{"variant", "b"}, {"S", "10"}}, 2);
  const Verdict v = judged("mmd[a] < mmd[b]", "every-seed");
  EXPECT_EQ(v.instances[0].outcome, Outcome::undecided);
  EXPECT_EQ(v.instances[0].why, "2 of 3 trainings are missing");
}

TEST_F(Verdicts, OneSeedHasNoIntervalAndAValueDecides) {
  data_.comparison.seeds = {{7}, {7}, false};
  data_.observations.push_back(
      {data_.find({{"variant", "a"}, {"S", "10"}}).value(), 7, 7, "done", "", {{"mmd", 1}}});
  data_.observations.push_back(
      {data_.find({{"variant", "b"}, {"S", "10"}}).value(), 7, 7, "done", "", {{"mmd", 2}}});
  const Verdict v = judged("mmd[a, S=10] < mmd[b, S=10]");
  EXPECT_EQ(v.outcome, Outcome::undecided);
  EXPECT_NE(v.instances[0].why.find("decide = \"value\""), std::string::npos);
  EXPECT_EQ(outcome("mmd[a, S=10] < mmd[b, S=10]", "value"), Outcome::pass);
}

TEST_F(Verdicts, AtRestrictsTheInstances) {
  both("10", {1, 1, 1}, {2, 2, 2});
  both("20", {2, 2, 2}, {1, 1, 1});
  EXPECT_EQ(judged("mmd[a] < mmd[b]").outcome, Outcome::fail);
  const Verdict ten = judged("mmd[a] < mmd[b]", "interval", {{"S", {"10"}}});
  EXPECT_EQ(ten.outcome, Outcome::pass);
  ASSERT_EQ(ten.instances.size(), 1U);
  EXPECT_EQ(ten.instances[0].at, (Coordinates{{"S", "10"}}));
  EXPECT_EQ(judged("mmd[a] < mmd[b]", "interval", {{"S", {"20"}}}).outcome, Outcome::fail);
  EXPECT_EQ(judged("max(mmd[a], S) < 1.5", "value", {{"S", {"10"}}}).outcome, Outcome::pass)
      << "a reduction runs along what `at` names";
  EXPECT_EQ(judged("max(mmd[a], S) < 1.5", "value").outcome, Outcome::fail);
  EXPECT_EQ(judged("max(mmd[a], S) < 1.5", "value", {{"S", {"10"}}}).instances.size(), 1U);
}

TEST_F(Verdicts, AFreeVariantHasAnInstanceEach) {
  both("10", {1, 1, 1}, {2, 2, 2});
  both("20", {1, 1, 1}, {2, 2, 2});
  EXPECT_EQ(judged("mmd < 5", "value").instances.size(), 4U);
  const Verdict v = judged("mmd < 1.5", "value", {{"variant", {"a"}}});
  EXPECT_EQ(v.outcome, Outcome::pass);
  EXPECT_EQ(v.instances.size(), 2U);
  EXPECT_EQ(judged("mmd < S", "value").outcome, Outcome::pass);
  EXPECT_EQ(judged("mmd < S / 10", "value").outcome, Outcome::fail);
}

TEST_F(Verdicts, PlacesWithoutACellAreLeftOut) {
  data_ = test::nothing_measured([] {
    auto c = test::comparison({"a", "b"}, {{"S", {"10", "20"}}, {"r", {"0.1", "0.2"}}});
    c.axes[1].only = {"b"};
    return c;
  }());
  ASSERT_EQ(data_.cells.size(), 6U);
  for (const auto& cell : data_.cells) put(data_, cell, "mmd", {1, 1, 1});
  put(data_, {{"variant", "b"}, {"S", "10"}, {"r", "0.1"}}, "mmd", {2, 2, 2});
  EXPECT_EQ(judged("mmd[a] <= mmd[b]", "value").instances.size(), 4U)
      << "a has no r: it is compared at each";
  EXPECT_EQ(judged("mmd[a] < 5", "value").instances.size(), 2U);
}

TEST_F(Verdicts, ThePapersFiguresStandBeside) {
  both("10", {1, 1, 1}, {2, 2, 2});
  both("20", {1, 1, 1}, {2, 2, 2});
  Json values = {{"a", {13.36, 6.84}}, {"b", {41.07, 5.5}}};
  data_.comparison.papers = {{"table1", "", "mmd", {"variant", "S"}, values, {}}};
  Verdict v = judged("mmd[a] < mmd[b]");
  EXPECT_EQ(v.instances[0].paper, "13.36 < 41.07, holds");
  EXPECT_EQ(v.instances[1].paper, "6.84 < 5.5, does not hold") << "and that decides nothing";
  EXPECT_EQ(v.outcome, Outcome::pass);
  EXPECT_EQ(judged("mmd[a] < mmd[b] * nfe").instances.empty()
                ? ""
                : judged("mmd[a] < mmd[b] + 0 * nfe").instances[0].paper,
            "")
      << "it has no NFE";
  // one number for the whole row; none at b, 10
  data_.comparison.papers[0].values = {{"a", 3.0}, {"b", {nullptr, 4.0}}};
  v = judged("mmd[a] < mmd[b]");
  EXPECT_EQ(v.instances[0].paper, "");
  EXPECT_EQ(v.instances[1].paper, "3 < 4, holds");
}

TEST_F(Verdicts, AsJsonKeepsWhatIsNotFinite) {
  both("10", {1, 1, nan}, {2, 2, 2});
  const Json j = to_json(judged("mmd[a] < mmd[b]"));
  EXPECT_EQ(j["outcome"], "undecided");
  EXPECT_EQ(j["instances"][0]["sides"][0], "nan");
  EXPECT_EQ(j["instances"][0]["at"]["S"], "10");
  EXPECT_EQ(Json::parse(j.dump()), j);
}

// 2 trainings of 3 samplings: n is 2, and a training's value a mean
TEST(Trainings, AreTheUnitWhereEachIsSampledMoreThanOnce) {
  auto c = test::comparison({"a", "b"}, {});
  c.seeds = {{0, 1}, {0, 1, 2}, true};
  Data d = test::nothing_measured(c);
  for (const std::int64_t t : {0, 1})
    for (const std::int64_t s : {0, 1, 2})
      for (const std::size_t cell : {0U, 1U})
        d.observations.push_back({cell,
                                  t,
                                  s,
                                  "done",
                                  "",
                                  {{"mmd", 10.0 * static_cast<double>(t) + static_cast<double>(s) +
                                               100 * static_cast<double>(cell)}}});
  EXPECT_EQ(d.units_planned(), 2U);
  EXPECT_EQ(d.units_are(), "trainings");
  EXPECT_EQ(d.units(0, "mmd"), (std::map<std::int64_t, double>{{0, 1}, {1, 11}}));
  d.observations.pop_back();  // b, training 1 lacks a sampling: its mean is not known
  EXPECT_EQ(d.units(1, "mmd"), (std::map<std::int64_t, double>{{0, 101}}));
}

TEST(Trainings, OneTrainingSampledOftenIsCountedBySamplings) {
  auto c = test::comparison({"a"}, {});
  c.seeds = {{4}, {0, 1, 2}, true};
  Data d = test::nothing_measured(c);
  for (const std::int64_t s : {0, 1, 2})
    d.observations.push_back({0, 4, s, "done", "", {{"mmd", static_cast<double>(s)}}});
  EXPECT_EQ(d.units_planned(), 3U);
  EXPECT_EQ(d.units_are(), "samplings of one training");
  EXPECT_EQ(d.units(0, "mmd").size(), 3U);
}

// an exact network: each `training` would be the same sampling again
TEST(Trainings, WhereNothingIsTrainedTheyRepeatNothing) {
  auto c = test::comparison({"a"}, {});
  c.seeds = {{0, 1, 2}, {0, 1}, true};
  Data d = test::nothing_measured(c);
  d.trained = false;
  for (const std::int64_t t : {0, 1, 2})
    for (const std::int64_t s : {0, 1})
      d.observations.push_back({0, t, s, "done", "", {{"mmd", static_cast<double>(s)}}});
  EXPECT_EQ(d.units_are(), "samplings");
  EXPECT_EQ(d.units_planned(), 2U);
  EXPECT_EQ(d.units(0, "mmd"), (std::map<std::int64_t, double>{{0, 0}, {1, 1}}));
}

}  // namespace
}  // namespace scorelab::compare
