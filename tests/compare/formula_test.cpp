#include "compare/formula.h"

#include <gtest/gtest.h>

#include <cmath>

#include "testing.h"

namespace scorelab::compare {
namespace {

/// Of variants eta0, eta1, pc with S and data: mmd is (1, 2, 4) times S, on moons ten times that;
/// and nothing has d but for its values.
class Formulas : public testing::Test {
 protected:
  Formulas() {
    c_ = test::comparison({"eta0", "eta1", "pc"}, {{"S", {"10", "20", "40"}},
                                                   {"data", {"swiss-roll", "moons"}},
                                                   {"tol", {"0.001", "1e-08"}}});
    names_ = {&c_, {"mmd", "sliced-wasserstein", "weights"}};
  }

  static double measured(const std::string& quantity, const Coordinates& at) {
    const std::string variant = label_at(at, "variant").value_or("eta0");
    double v = variant == "eta0" ? 1 : variant == "eta1" ? 2 : 4;
    v *= std::stod(label_at(at, "S").value_or("1"));
    if (label_at(at, "data") == "moons") v *= 10;
    if (quantity == "sliced-wasserstein") v += 0.5;
    if (quantity == "weights.1") v = 0.25;
    return v;
  }

  Formula read(const std::string& text) const {
    FormulaError error;
    const auto f = parse(text, names_, error);
    EXPECT_TRUE(f) << text << ": " << error.message;
    return f.value_or(Formula{});
  }

  /// The value of the left side of `text < 0`.
  double of(const std::string& text, const Coordinates& at = {}) const {
    const Formula f = read(text + " < 0");
    return f.sides.empty() ? test::nan : value(f.sides[0], at, c_, measured).value_or(-777);
  }

  Comparison c_;
  Names names_;
};

TEST_F(Formulas, Numbers) {
  EXPECT_DOUBLE_EQ(of("0.05"), 0.05);
  EXPECT_DOUBLE_EQ(of(".5"), 0.5);
  EXPECT_DOUBLE_EQ(of("1e-3"), 1e-3);
  EXPECT_DOUBLE_EQ(of("2E2"), 200);
}

TEST_F(Formulas, OperatorsHaveTheUsualPrecedence) {
  EXPECT_DOUBLE_EQ(of("1 + 2 * 3"), 7);
  EXPECT_DOUBLE_EQ(of("(1 + 2) * 3"), 9);
  EXPECT_DOUBLE_EQ(of("8 / 4 / 2"), 1);
  EXPECT_DOUBLE_EQ(of("10 - 3 - 2"), 5);
  EXPECT_DOUBLE_EQ(of("10 - (3 - 2)"), 9);
  EXPECT_DOUBLE_EQ(of("-2 * 3"), -6);
  EXPECT_DOUBLE_EQ(of("2 * -3"), -6);
  EXPECT_DOUBLE_EQ(of("--2"), 2);
  EXPECT_DOUBLE_EQ(of("-(1 + 2)"), -3);
  EXPECT_DOUBLE_EQ(of("6/3*2"), 4);
}

TEST_F(Formulas, EveryFunction) {
  EXPECT_DOUBLE_EQ(of("abs(3 - 5)"), 2);
  EXPECT_DOUBLE_EQ(of("sqrt(9)"), 3);
  EXPECT_DOUBLE_EQ(of("log(exp(2))"), 2);
  EXPECT_DOUBLE_EQ(of("min(3, 1, 2)"), 1);
  EXPECT_DOUBLE_EQ(of("max(3, 1, 2)"), 3);
  EXPECT_DOUBLE_EQ(of("mean(3, 1, 2, 6)"), 3);
  EXPECT_DOUBLE_EQ(of("median(3, 1, 2, 6)"), 2.5);
  EXPECT_NEAR(of("geomean(2, 4, 8)"), 4, 1e-12);
  EXPECT_DOUBLE_EQ(of("min(1 + 1, max(0, 5)) * 2"), 4);
}

TEST_F(Formulas, AQuantityIsTakenWhereItsPlacesSay) {
  const Coordinates at{{"variant", "pc"}, {"S", "10"}};
  EXPECT_DOUBLE_EQ(of("mmd", at), 40);
  EXPECT_DOUBLE_EQ(of("mmd[eta1]", at), 20);
  EXPECT_DOUBLE_EQ(of("mmd[variant=eta1]", at), 20);
  EXPECT_DOUBLE_EQ(of("mmd[eta1, S=20]", at), 40);
  EXPECT_DOUBLE_EQ(of("mmd[ S = 20 , eta1 ]", at), 40);
  EXPECT_DOUBLE_EQ(of("mmd[eta1, moons]", at), 200);
  EXPECT_DOUBLE_EQ(of("mmd[swiss-roll]", at), 40);
}

TEST_F(Formulas, NumbersInPlacesHaveOneForm) {
  for (const char* ten : {"S=10", "S=10.0", "S=1e1", "10", "1.0e1"})
    EXPECT_DOUBLE_EQ(of("mmd[eta0, " + std::string(ten) + "]"), 10) << ten;
  for (const char* small : {"tol=1e-8", "tol=0.00000001", "tol=1.0E-08"})
    EXPECT_DOUBLE_EQ(of("mmd[eta0, " + std::string(small) + "]"), 1) << small;
  EXPECT_DOUBLE_EQ(of("mmd[eta0, tol=1e-3]"), 1);
}

TEST_F(Formulas, LargeNumbersInPlacesHaveOneForm) {
  c_ = test::comparison({}, {{"steps", {"100000", "2500000"}}});
  const Formula f = read("mmd[steps=100000] < mmd[2.5e6]");
  EXPECT_EQ(f.sides[0].places, (Coordinates{{"steps", "100000"}}));
  EXPECT_EQ(f.sides[1].places, (Coordinates{{"steps", "2500000"}}));
}

TEST_F(Formulas, LabelsMayHoldWhatNamesMayHold) {
  c_ = test::comparison({"η=0 is none", "η0", "a:b", "c+d", "(e)", "f|g"}, {});
  for (const char* label : {"η0", "a:b", "c+d", "(e)", "f|g"}) {
    const Formula f = read("mmd[" + std::string(label) + "] < 1");
    ASSERT_FALSE(f.sides.empty());
    EXPECT_EQ(f.sides[0].places, (Coordinates{{"variant", label}}));
  }
}

TEST_F(Formulas, NamesHoldDashesAndDots) {
  EXPECT_DOUBLE_EQ(of("sliced-wasserstein[eta0]"), 1.5);
  EXPECT_DOUBLE_EQ(of("sliced-wasserstein[eta0]-mmd[eta0]"), 0.5);
  EXPECT_DOUBLE_EQ(of("mmd[eta1] - mmd[eta0]"), 1);
  EXPECT_DOUBLE_EQ(of("weights.1[pc]"), 0.25);
  EXPECT_DOUBLE_EQ(of("2 * mmd[eta0] -1"), 1);
}

TEST_F(Formulas, Chains) {
  const Formula f = read("mmd[eta0] < mmd[eta1] <= mmd[pc] > 1 >= 0 = 0");
  EXPECT_EQ(f.relations, (std::vector<std::string>{"<", "<=", ">", ">=", "="}));
  EXPECT_EQ(f.sides.size(), 6U);
  EXPECT_EQ(read("mmd[eta0]<mmd[eta1]").relations, std::vector<std::string>{"<"});
}

TEST_F(Formulas, ReductionsOverAnAxis) {
  const Coordinates at{{"variant", "eta0"}, {"S", "10"}, {"data", "moons"}};
  EXPECT_DOUBLE_EQ(of("min(mmd, S)", at), 100);
  EXPECT_DOUBLE_EQ(of("max(mmd, S)", at), 400);
  EXPECT_DOUBLE_EQ(of("mean(mmd[swiss-roll], S)", at), 70 / 3.0);
  EXPECT_DOUBLE_EQ(of("median(mmd, variant)", at), 200);
  EXPECT_NEAR(of("geomean(mmd[eta1] / mmd[eta0], data)", at), 2, 1e-12);
  EXPECT_NEAR(of("geomean(mmd, data)", at), std::sqrt(10 * 100.0), 1e-9);
  EXPECT_DOUBLE_EQ(of("max(min(mmd, S), data)", at), 100);
  EXPECT_NEAR(of("slope(mmd[pc], S)", at), 1, 1e-12);
  EXPECT_NEAR(of("slope(mmd[pc] * mmd[pc], S)", at), 2, 1e-12);
}

TEST_F(Formulas, AReductionKeepsNaN) {
  const Formula f =
      read("min(mmd, S) + max(mmd, S) + geomean(mmd, S) + mean(mmd, S) + median(mmd, S) < 0");
  const Lookup broken = [](const std::string&, const Coordinates& at) -> std::optional<double> {
    return label_at(at, "S") == "20" ? test::nan : 1;
  };
  for (const char* name : {"min", "max", "mean", "median", "geomean", "slope"}) {
    const Formula one = read(std::string(name) + "(mmd, S) < 0");
    EXPECT_TRUE(std::isnan(value(one.sides[0], {}, c_, broken).value())) << name;
  }
}

TEST_F(Formulas, AnAxisHasItsNumbers) {
  EXPECT_DOUBLE_EQ(of("0.5 * S", {{"S", "20"}}), 10);
  EXPECT_DOUBLE_EQ(of("max(S, S)", {{"S", "20"}}), 40) << "over the axis";
  const Formula f = read("mmd[eta1] / mmd[eta0] = S");
  EXPECT_EQ(f.relations, std::vector<std::string>{"="});
  EXPECT_DOUBLE_EQ(value(f.sides[1], {{"S", "40"}}, c_, measured).value(), 40);
}

TEST_F(Formulas, FreeAxesAreThoseThatNothingPlacesOrReduces) {
  const auto cells = test::nothing_measured(c_).cells;
  const auto free = [&](const std::string& text) { return read(text).free_axes(cells); };
  using Set = std::set<std::string>;
  EXPECT_EQ(free("mmd[eta0] < mmd[eta1]"), (Set{"S", "data", "tol"}));
  EXPECT_EQ(free("mmd < 1"), (Set{"variant", "S", "data", "tol"}));
  EXPECT_EQ(free("geomean(mmd[eta0], data) < slope(mmd[eta1, moons], S)"), (Set{"S", "tol"}))
      << "S on the left alone, data nowhere";
  EXPECT_EQ(free("max(geomean(mmd[eta0, tol=1e-3], data), S) < 1"), Set{});
  EXPECT_EQ(free("mmd[eta0, S=10, moons, tol=1e-3] < S"), (Set{"S"}));
}

TEST_F(Formulas, AnAxisThatAVariantLacksIsNotFreeThere) {
  c_.axes[0].only = {"pc"};
  const auto cells = test::nothing_measured(c_).cells;
  EXPECT_FALSE(read("mmd[eta0] < mmd[eta1]").free_axes(cells).contains("S"));
  EXPECT_TRUE(read("mmd[eta0] < mmd[pc]").free_axes(cells).contains("S"));
}

TEST_F(Formulas, CostsAreQuantitiesUnlessAnAxisHasTheirName) {
  EXPECT_EQ(read("nfe[pc] < train.seconds[pc]").sides[0].kind, Formula::Kind::quantity);
  c_.axes[0].name = "nfe";
  EXPECT_EQ(read("nfe < 1").sides[0].kind, Formula::Kind::axis);
  EXPECT_NEAR(of("slope(3 * nfe, nfe)"), 1, 1e-12);
}

struct Wrong {
  const char* text;
  int column, length;
  const char *message, *hint;
};

TEST_F(Formulas, EveryMistakeHasItsColumn) {
  const Wrong all[] = {
      {"mmd[eta0]", 0, 9, "a claim compares", "such as mmd[a] < mmd[b]"},
      {"mdm[eta0] < 1", 0, 3, "nothing is called `mdm`", "did you mean `mmd`?"},
      {"1 < frechet-distance", 4, 16, "nothing is called `frechet-distance`", "quantities: mmd, "},
      {"mmd[eta2] < 1", 4, 4, "there is no variant and no value `eta2`", "did you mean `eta"},
      {"mmd[eta0, T=10] < 1", 10, 1, "there is no axis `T`", ""},
      {"mmd[eta0, date=moons] < 1", 10, 4, "there is no axis `date`", "did you mean `data`?"},
      {"mmd[eta0, S=11] < 1", 12, 2, "`S` has no value `11`", ""},
      {"mmd[data=moon] < 1", 9, 4, "`data` has no value `moon`", "did you mean `moons`?"},
      {"mmd[eta0, eta1] < 1", 10, 1, "`variant` is placed twice", "one value of each axis"},
      {"mmd[] < 1", 4, 1, "a label is expected", "a variant, or an axis's value"},
      {"mmd[eta0 < 1", 9, 1, "`]` is expected here", "labels are separated by commas"},
      {"mmd[eta0] <", 11, 1, "a quantity or a number is expected", "the formula ends too early"},
      {"", 0, 1, "a quantity or a number is expected", "the formula ends too early"},
      {"mmd[eta0] < < 1", 12, 1, "`<` is not expected here", "a quantity, a number or a function"},
      {"mmd[eta0] == 1", 11, 1, "`=` is not expected here", "a quantity, a number or a function"},
      {"mmd[eta0] < 1 2", 14, 1, "`2` is not expected here", "an operator, a relation or the end"},
      {"mmd[eta0] < (1 + 2", 18, 1, "`)` is expected here", "a bracket is open"},
      {"mmd[eta0] < . ", 12, 1, "this is no number", "such as 0.05 or 1e-3"},
      {"mmd[eta0] < 1e999", 12, 1, "this is no number", "such as 0.05 or 1e-3"},
      {"medain(mmd, S) < 1", 0, 6, "there is no function `medain`", "did you mean `median`?"},
      {"1 < round(mmd)", 4, 5, "there is no function `round`", "functions: abs, "},
      {"abs(mmd, S) < 1", 0, 3, "`abs` takes one value", "such as abs(a - b)"},
      {"log(1, 2) < 1", 0, 3, "`log` takes one value", ""},
      {"1 < min(mmd)", 4, 3, "`min` takes several values, or one over an axis",
       "such as min(a, b)"},
      {"min(1, mmd, S) < 1", 0, 3, "`min` over an axis takes one value", "such as min(mmd, S)"},
      {"1 < slope(mmd, 2)", 4, 5, "`slope` needs an axis", "such as slope(mmd[heun], nfe)"},
      {"slope(mmd, data) < 1", 11, 4, "the axis `data` has no numbers: `swiss-roll`",
       "only an axis of numbers has a value"},
      {"1 < data", 4, 4, "the axis `data` has no numbers: `swiss-roll`",
       "only an axis of numbers has a value"},
      {"variant < 1", 0, 7, "nothing is called `variant`", ""},
  };
  for (const auto& w : all) {
    FormulaError error;
    EXPECT_FALSE(parse(w.text, names_, error)) << w.text;
    EXPECT_EQ(error.column, w.column) << w.text << ": " << error.message;
    EXPECT_EQ(error.length, w.length) << w.text << ": " << error.message;
    EXPECT_NE(error.message.find(w.message), std::string::npos) << w.text << ": " << error.message;
    EXPECT_NE(error.hint.find(w.hint), std::string::npos) << w.text << ": " << error.hint;
  }
}

TEST_F(Formulas, AValueOfTwoAxesMustSayWhich) {
  c_ = test::comparison({"base"}, {{"S", {"10", "20"}}, {"K", {"10", "30"}}});
  FormulaError error;
  EXPECT_FALSE(parse("mmd[10] < 1", names_, error));
  EXPECT_EQ(error.column, 4);
  EXPECT_EQ(error.message, "`10` is a value of S and K");
  EXPECT_EQ(error.hint, "say S=10");
  EXPECT_EQ(read("mmd[30, S=10] < 1").sides[0].places, (Coordinates{{"K", "30"}, {"S", "10"}}));
}

TEST_F(Formulas, APlaceAlone) {
  FormulaError error;
  EXPECT_EQ(parse_place("eta1, tol=1e-8", c_, error).value(),
            (Coordinates{{"variant", "eta1"}, {"tol", "1e-08"}}));
  EXPECT_EQ(parse_place(" moons ", c_, error).value(), (Coordinates{{"data", "moons"}}));
  EXPECT_FALSE(parse_place("eta1, moon", c_, error));
  EXPECT_EQ(error.column, 6);
  EXPECT_EQ(error.hint, "did you mean `moons`?");
  EXPECT_FALSE(parse_place("eta1]", c_, error));
  EXPECT_FALSE(parse_place("", c_, error));
}

// what a search chooses is no coordinate of the cells that are reported
TEST_F(Formulas, SearchedAxesAreNoPlaces) {
  c_.axes[0].best = manifest::Axis::Best{"mmd", {}, {100}};
  FormulaError error;
  EXPECT_FALSE(parse("mmd[eta0, S=10] < 1", names_, error));
  EXPECT_EQ(error.message, "there is no axis `S`");
}

}  // namespace
}  // namespace scorelab::compare
