#include "compare/table.h"

#include <gmock/gmock.h>
#include <scorelab/error.h>

#include "testing.h"

namespace scorelab::compare {
namespace {

using test::nan;
using test::put;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Tables : public testing::Test {
 protected:
  void make(const std::vector<std::string>& variants, const test::Axes& axes,
            std::int64_t seeds = 3) {
    data_ = test::nothing_measured(test::comparison(variants, axes, seeds));
  }
  Table made(TableOptions options = {}) const { return table(data_, data_.metrics[0], options); }
  const Row& row(const Table& t, const Coordinates& at) const {
    for (const auto& r : t.rows)
      if (r.cell == data_.find(at)) return r;
    throw std::runtime_error("no such row");
  }

  Data data_;
};

TEST_F(Tables, DifferencesArePairedBySeed) {
  make({"base", "other"}, {});
  put(data_, {{"variant", "base"}}, "mmd", {1, 5, 9});
  put(data_, {{"variant", "other"}}, "mmd", {0.5, 4, 8.25});
  const Table t = made();
  const Row &base = t.rows[0], &other = t.rows[1];
  EXPECT_FALSE(base.baseline) << "the first variant is the baseline where none is named";
  EXPECT_DOUBLE_EQ(base.mean, 5);
  ASSERT_TRUE(other.baseline);
  EXPECT_THAT(other.differences, ElementsAre(-0.5, -1, -0.75));
  EXPECT_DOUBLE_EQ(other.difference, -0.75);
  EXPECT_NEAR(other.difference_interval.high - other.difference_interval.low,
              2 * 4.303 * 0.25 / std::sqrt(3.0), 1e-3);
  EXPECT_DOUBLE_EQ(other.p.p, 0.25);
  EXPECT_DOUBLE_EQ(other.ratio, 12.75 / 15);
  EXPECT_THAT(t.notes, Contains(HasSubstr("differences are paired by seed, against base")));
}

TEST_F(Tables, OnlySeedsThatBothHaveArePaired) {
  make({"base", "other"}, {});
  put(data_, {{"variant", "base"}}, "mmd", {1, 2});
  put(data_, {{"variant", "other"}}, "mmd", {2, 4, 90});
  const Row other = made().rows[1];
  EXPECT_THAT(other.differences, ElementsAre(1, 2));
  EXPECT_DOUBLE_EQ(other.mean, 32);
  EXPECT_DOUBLE_EQ(other.ratio, 2) << "of the pairs, not of all that there is";
  EXPECT_THAT(made().rows[0].values, ElementsAre(1, 2));
}

TEST_F(Tables, TheBaselineIsAPlaceOfOneOrSeveralAxes) {
  make({"a", "b"}, {{"S", {"10", "20"}}});
  double v = 0;
  // a10, a20, b10, b20
  for (const auto& cell : data_.cells) {
    put(data_, cell, "mmd", {v + 1, v + 2, v + 3});
    v += 10;
  }
  const Coordinates a10{{"variant", "a"}, {"S", "10"}}, b20{{"variant", "b"}, {"S", "20"}},
      a20{{"variant", "a"}, {"S", "20"}};
  EXPECT_DOUBLE_EQ(row(made(), b20).difference, 20) << "beside a at the same S";
  EXPECT_FALSE(row(made(), a20).baseline);
  EXPECT_DOUBLE_EQ(row(made({"S=10", false, {}}), b20).difference, 10)
      << "beside the same variant at S = 10";
  EXPECT_DOUBLE_EQ(row(made({"a, S=10.0", false, {}}), b20).difference, 30);
  EXPECT_DOUBLE_EQ(row(made({"a, S=10", false, {}}), a20).difference, 10);
  data_.comparison.compare.baseline.text = "b";
  EXPECT_DOUBLE_EQ(row(made(), a10).difference, -20) << "the manifest's";
  EXPECT_DOUBLE_EQ(row(made({"a", false, {}}), b20).difference, 20)
      << "the command's comes before it";
  EXPECT_THROW(made({"c", false, {}}), Error);
}

TEST_F(Tables, WithoutVariantsAndABaselineNothingIsCompared) {
  make({}, {{"S", {"10", "20"}}});
  put(data_, {{"S", "10"}}, "mmd", {1, 2, 3});
  const Table t = made();
  EXPECT_FALSE(t.rows[0].baseline || t.rows[1].baseline);
  EXPECT_THAT(t.notes, Not(Contains(HasSubstr("paired"))));
}

TEST_F(Tables, SomeCells) {
  make({"a", "b"}, {{"S", {"10", "20"}}});
  for (const auto& cell : data_.cells) put(data_, cell, "mmd", {1, 2, 3});
  EXPECT_EQ(made({"", false, {{"S", "20"}}}).rows.size(), 2U);
  EXPECT_TRUE(made({"a, S=10", false, {{"S", "20"}}}).rows[1].baseline)
      << "the baseline's cell need not be shown";
}

TEST_F(Tables, MatchesCellsOfEqualNFE) {
  make({"euler", "heun"}, {{"S", {"5", "10", "20"}}});
  const auto at = [](const char* variant, const char* S) {
    return Coordinates{{"variant", variant}, {"S", S}};
  };
  const std::vector<std::tuple<const char*, const char*, double>> costs{
      {"euler", "5", 5},    {"euler", "10", 10},   {"euler", "20", 20},
      {"heun", "5", 10.09}, {"heun", "10", 20.21}, {"heun", "20", 40}};
  double v = 0;
  for (const auto& [variant, S, nfe] : costs) {
    put(data_, at(variant, S), "mmd", {v, v, v});
    v += 1;
    put(data_, at(variant, S), "nfe", {nfe, nfe, nfe});
  }
  const Table matched = made({"", true, {}});
  EXPECT_EQ(row(matched, at("heun", "5")).baseline, data_.find(at("euler", "10")))
      << "10.09 is within 1 % of 10";
  EXPECT_DOUBLE_EQ(row(matched, at("heun", "5")).difference, 2);
  EXPECT_FALSE(row(matched, at("heun", "10")).baseline) << "20.21 is not within 1 % of 20";
  EXPECT_FALSE(row(matched, at("heun", "20")).baseline);
  EXPECT_THAT(matched.notes, Contains("without a baseline of equal NFE: heun S=10; heun S=20"));
  EXPECT_THAT(row(matched, at("heun", "5")).notes, Not(Contains(HasSubstr("the NFE"))));
  const Table plain = made();
  EXPECT_EQ(row(plain, at("heun", "20")).baseline, data_.find(at("euler", "20")));
  EXPECT_THAT(row(plain, at("heun", "20")).notes, ElementsAre("2x the NFE; --match nfe"));
  EXPECT_THAT(plain.notes, Not(Contains(HasSubstr("without a baseline"))));
}

TEST_F(Tables, AmongCellsOfEqualNFETheOneThatSharesMostIsTheBaseline) {
  make({"euler", "heun"}, {{"data", {"moons", "roll"}}});
  for (const auto& cell : data_.cells) {
    put(data_, cell, "mmd", {1, 1, 1});
    put(data_, cell, "nfe", {8, 8, 8});
  }
  const Table t = made({"", true, {}});
  EXPECT_EQ(row(t, {{"variant", "heun"}, {"data", "roll"}}).baseline,
            data_.find({{"variant", "euler"}, {"data", "roll"}}));
}

TEST_F(Tables, ACellWithoutTheBaselinesValueOfAnAxisIsListed) {
  make({"a", "b"}, {{"S", {"10", "20"}}});
  data_.cells.erase(data_.cells.begin() + 1);  // a has no S = 20
  data_.chosen.resize(3);
  for (const auto& cell : data_.cells) put(data_, cell, "mmd", {1, 2, 3});
  EXPECT_THAT(made().notes, Contains("without a baseline: b S=20"));
}

TEST_F(Tables, FewSeedsAreSaid) {
  for (const std::int64_t n : {1, 2, 3, 5, 6}) {
    make({"base", "other"}, {}, n);
    for (const auto& cell : data_.cells)
      put(data_, cell, "mmd", std::vector<double>(static_cast<std::size_t>(n), 1));
    const auto notes = made().notes;
    if (n == 5) {
      EXPECT_THAT(notes, Contains("n = 5: no sign-flip p can be below 0.0625"));
    }
    if (n == 2) {
      EXPECT_THAT(notes, Contains("n = 2: no sign-flip p can be below 0.5"));
    }
    if (n == 6) {
      EXPECT_THAT(notes, Not(Contains(HasSubstr("sign-flip"))));
    }
    EXPECT_EQ(std::count_if(notes.begin(), notes.end(),
                            [](const auto& s) { return s.find("one says nothing") != s.npos; }),
              n == 1);
  }
}

TEST_F(Tables, FailedAndMissingRunsAreSaid) {
  make({"base", "other"}, {}, 4);
  put(data_, {{"variant", "base"}}, "mmd", {1, 1, 1, 1});
  data_.observations.push_back({1, 0, 0, "failed", "step `x` threw\nin a file", {}});
  data_.observations.push_back({1, 1, 1, "stopped", "", {}});
  data_.observations.push_back({1, 2, 2, "running", "", {}});
  data_.observations.push_back({1, 3, 3, "done", "", {{"mmd", 3}}});
  const Row other = made().rows[1];
  EXPECT_THAT(other.notes, ElementsAre("1 failed (seed 0: step `x` threw)", "2 not run"));
  EXPECT_THAT(other.values, ElementsAre(3));
  EXPECT_THAT(other.differences, ElementsAre(2));
  EXPECT_THAT(made().rows[0].notes, testing::IsEmpty());
}

TEST_F(Tables, NaNNeverDisappears) {
  make({"base", "other"}, {});
  put(data_, {{"variant", "base"}}, "mmd", {1, 1, 1});
  put(data_, {{"variant", "other"}}, "mmd", {0.5, nan, 0.5});
  const Table t = made();
  const Row& other = t.rows[1];
  EXPECT_TRUE(std::isnan(other.mean) && std::isnan(other.difference) && std::isnan(other.p.p) &&
              std::isnan(other.interval.low) && std::isnan(other.difference_interval.low) &&
              std::isnan(other.ratio));
  EXPECT_EQ(other.values.size(), 3U);
  EXPECT_THAT(other.notes, ElementsAre("seed 1 is nan"));
  EXPECT_THAT(as_text(data_, t, false), HasSubstr("nan"));
  EXPECT_THAT(as_csv(data_, {t}), HasSubstr("0.5 nan 0.5"));
  EXPECT_EQ(as_json(data_, t)["rows"][1]["values"], Json({0.5, "nan", 0.5}));
  EXPECT_THAT(pivot(data_, t, {"variant"}, {}, true), HasSubstr("| other | nan |"));
}

TEST_F(Tables, TheBestOfKNeverStandsWithoutK) {
  make({"base", "other"}, {});
  for (const auto& cell : data_.cells) put(data_, cell, "mmd", {1, 1, 1});
  data_.chosen[1] = {{"axis", "r"}, {"label", "r=0.16"}, {"of", 20}, {"metric", "mmd"}};
  EXPECT_THAT(made().rows[1].notes, ElementsAre("r=0.16: best of 20 by mmd, on other seeds"));
}

TEST_F(Tables, SayWhatNCounts) {
  make({"base", "other"}, {});
  EXPECT_EQ(made().notes.front(), "n counts trainings");
  data_.trained = false;
  EXPECT_EQ(made().notes.front(), "n counts samplings");
  data_.trained = true;
  data_.comparison.seeds = {{0}, {0, 1, 2}, true};
  EXPECT_EQ(made().notes.front(), "n counts samplings of one training");
}

TEST_F(Tables, ThePapersNumbersStandBesideTheirMetric) {
  make({"a", "b"}, {{"S", {"10", "20"}}});
  data_.comparison.papers = {
      {"t", "", "mmd", {"variant", "S"}, {{"a", {1.5, nullptr}}, {"b", 7}}, {}}};
  const Table t = made();
  EXPECT_EQ(t.rows[0].paper, 1.5);
  EXPECT_FALSE(t.rows[1].paper) << "nan in the manifest: the paper has none";
  EXPECT_EQ(t.rows[2].paper, 7);
  EXPECT_EQ(t.rows[3].paper, 7);
  EXPECT_FALSE(table(data_, data_.metrics[1], {}).rows[0].paper);
}

TEST_F(Tables, APivotHidesNoCellAndMarksTheBest) {
  make({"a", "b"}, {{"S", {"10", "20"}}, {"K", {"1", "2"}}});
  double v = 8;
  for (const auto& cell : data_.cells) {
    put(data_, cell, "mmd", {v, v, v});
    v -= 1;
  }
  const std::string t = pivot(data_, made(), {"variant"}, {"S"}, true);
  for (int k = 1; k <= 8; ++k)
    EXPECT_THAT(t, HasSubstr(" " + std::to_string(k) + " ±0")) << "K is neither a row nor a column";
  EXPECT_THAT(t, HasSubstr("| b K=2 | 3 ±0 * | 1 ±0 * |")) << "lower is better";
  EXPECT_EQ(std::count(t.begin(), t.end(), '*'), 2 + 4 + 1)
      << "two best, the bold title, the legend";
  const std::string high =
      pivot(data_, table(data_, data_.metrics[1], {}), {"variant"}, {"S"}, true);
  EXPECT_THAT(high, HasSubstr("| a K=1 | - | - |")) << "nothing measured is a dash";
}

TEST_F(Tables, QuantitiesByNameByPrefixAndUnknown) {
  make({"a"}, {});
  data_.metrics = {{"weights", "1", "none", ""},
                   {"weights.0", "1", "none", ""},
                   {"weights.1", "1", "none", ""},
                   {"mmd", "1", "min", ""}};
  EXPECT_EQ(quantities(data_, "").size(), 4U);
  EXPECT_EQ(quantities(data_, "weights").size(), 3U);
  EXPECT_EQ(quantities(data_, "weights.1").size(), 1U);
  EXPECT_EQ(quantities(data_, "train.jvps").size(), 1U);
  data_.comparison.compare.primary = "mmd";
  EXPECT_EQ(quantities(data_, "").size(), 1U);
  EXPECT_THROW(quantities(data_, "mdm"), Error);
}

TEST_F(Tables, CsvHasAFieldForEveryHead) {
  make({"a", "b, \"c\""}, {});
  for (const auto& cell : data_.cells) put(data_, cell, "mmd", {1, 2, 4});
  std::stringstream csv(as_csv(data_, {made()}));
  std::vector<std::size_t> fields;
  for (std::string line; std::getline(csv, line);) {
    std::size_t n = 1;
    bool quoted = false;
    for (const char c : line) {
      quoted ^= c == '"';
      n += c == ',' && !quoted;
    }
    fields.push_back(n);
  }
  ASSERT_EQ(fields.size(), 3U);
  EXPECT_EQ(fields[1], fields[0]);
  EXPECT_EQ(fields[2], fields[0]);
}

}  // namespace
}  // namespace scorelab::compare
