#include <gtest/gtest.h>
#include <scorelab/grid.h>
#include <scorelab/objective.h>

#include <algorithm>
#include <set>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

template <class Group>
void set(Group& group, const Json& values) {
  Params p;
  group.params(p);
  for (const auto& spec : p.specs)
    if (values.contains(spec->name)) schema::assign(*spec, values[spec->name], {});
}

std::shared_ptr<Scheduler> process(const char* name, Json params = Json::object()) {
  return world(plugin("scheduler", name, std::move(params)), nullptr, {1}).q;
}

/// The S + 1 times of a grid.
std::vector<double> times(const Scheduler& q, const Json& values, bool reaches_zero) {
  Grid grid;
  set(grid, values);
  const std::vector<Interval> steps = grid.steps(q, reaches_zero);
  std::vector<double> out{steps[0].t};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].i, static_cast<std::int64_t>(i));
    EXPECT_EQ(steps[i].t, out.back());
    out.push_back(steps[i].s);
  }
  EXPECT_EQ(out.back(), grid.end(q, reaches_zero));
  return out;
}

void expect_times(const std::vector<double>& got, const std::vector<double>& expected,
                  double tolerance = 1e-12) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t k = 0; k < got.size(); ++k)
    EXPECT_NEAR(got[k], expected[k], tolerance) << "time " << k;
}

/// The inverse of log(alpha/sigma) of VP, beta from 0.1 to 20, solved by hand.
double vp_time(double lambda) {
  return (std::sqrt(0.01 + 2 * 19.9 * std::log1p(std::exp(-2 * lambda))) - 0.1) / 19.9;
}
double vp_lambda(double t) { return std::log(vp(t).a / vp(t).b); }

TEST(Grid, UniformTimesOfAContinuousProcess) {
  const auto q = process("vp");
  for (const int S : {1, 2, 7, 100}) {
    expect_times(times(*q, {{"steps", S}}, false), uniform_times(1, 1e-3, S));
    std::vector<double> to_zero = S == 1 ? std::vector<double>{1} : uniform_times(1, 1e-3, S - 1);
    to_zero.push_back(0);
    expect_times(times(*q, {{"steps", S}}, true), to_zero);
    expect_times(times(*q, {{"steps", S}, {"to", "t_min"}}, true), uniform_times(1, 1e-3, S));
  }
  EXPECT_EQ(times(*q, Json::object(), false).size(), 1001u) << "1000 steps where nothing is said";
}

TEST(Grid, FromAndToAreItsEnds) {
  const auto q = process("vp");
  expect_times(times(*q, {{"steps", 6}, {"from", 0.7}, {"to", 0.2}}, true),
               uniform_times(0.7, 0.2, 6));
  expect_times(times(*q, {{"steps", 6}, {"from", 0.7}, {"to", 0.2}}, false),
               uniform_times(0.7, 0.2, 6));
  std::vector<double> clean = uniform_times(0.7, 1e-3, 5);
  clean.push_back(0);
  expect_times(times(*q, {{"steps", 6}, {"from", 0.7}, {"to", 0.0}}, false), clean);
  const auto ddpm = process("ddpm-linear");
  std::vector<double> levels;
  for (int i = 500; i >= 0; i -= 50) levels.push_back(i / 1000.0);
  expect_times(times(*ddpm, {{"steps", 10}, {"from", 0.5}}, true), levels);
  EXPECT_EQ(times(*ddpm, {{"from", 0.5}}, true).size(), 501u);
}

TEST(Grid, EndsThatDoNotFollowEachOtherThrow) {
  const auto q = process("vp");
  EXPECT_THROW(times(*q, {{"steps", 5}, {"from", 0.2}, {"to", 0.7}}, false), Error);
  EXPECT_THROW(times(*q, {{"steps", 5}, {"from", 0.2}, {"to", 0.2}}, false), Error);
  EXPECT_THROW(times(*q, {{"steps", 5}, {"from", 1.5}}, false), Error);
  // between clean and t_min nothing is defined
  EXPECT_THROW(times(*q, {{"steps", 5}, {"to", 1e-4}}, false), Error);
  EXPECT_THROW(times(*q, {{"nfe", 20}}, false), Error);
}

TEST(Grid, QuadraticTimesAreUniformInTheirRoots) {
  const auto q = process("vp");
  for (const int S : {1, 5, 50}) {
    std::vector<double> expected;
    for (const double root : uniform_times(1, std::sqrt(1e-3), S)) expected.push_back(root * root);
    expect_times(times(*q, {{"steps", S}, {"spacing", "quadratic"}}, false), expected);
  }
}

TEST(Grid, LogSnrTimesAreUniformInLambda) {
  const auto vp_ = process("vp");
  for (const int S : {1, 2, 3, 10, 57}) {
    std::vector<double> expected;
    for (const double lambda : uniform_times(vp_lambda(1), vp_lambda(1e-3), S))
      expected.push_back(vp_time(lambda));
    expect_times(times(*vp_, {{"steps", S}, {"spacing", "log-snr"}}, false), expected, 1e-10);
    // On a geometric ladder lambda is linear in t.
    expect_times(times(*process("ve"), {{"steps", S}, {"spacing", "log-snr"}}, false),
                 uniform_times(1, 1e-5, S), 1e-10);
  }
}

// formulas.md, 2: rho = 7, .002 .. 80, n = 18, then 0
TEST(Grid, KarrasTimesHaveTheNoiseLevelsOfEdm) {
  const auto q = process("ve", {{"sigma_min", 0.002}, {"sigma_max", 80.0}, {"t_min", 1e-8}});
  const std::vector<double> got = times(*q, {{"steps", 18}, {"spacing", "karras"}}, true);
  const double published[] = {80,     57.586, 40.7856, 28.3746, 19.3525, 12.9101,
                              8.4009, 5.3152, 3.2568,  1.9233,  1.0882,  .5853,
                              .2964,  .1395,  .0599,   .0229,   .0075,   .002};
  ASSERT_EQ(got.size(), 19u);
  EXPECT_EQ(got[18], 0);
  for (int i = 0; i < 18; ++i) {
    const double sigma = 0.002 * std::pow(40000.0, got[i]);
    const double a = std::pow(80, 1 / 7.0), b = std::pow(0.002, 1 / 7.0);
    EXPECT_NEAR(sigma, published[i], 5.1e-5 + 1e-5 * published[i]) << i;
    // t_min is not quite 0
    EXPECT_NEAR(sigma, std::pow(a + i / 17.0 * (b - a), 7), 1e-6 * sigma) << i;
  }
}

TEST(Grid, KarrasTimesOfAVariancePreservingProcessUseSigmaOverAlpha) {
  const auto q = process("vp");
  const auto root = [](double t) { return std::exp(-vp_lambda(t) / 7); };
  for (const int S : {1, 2, 3, 10, 57}) {
    std::vector<double> expected;
    for (const double r : uniform_times(root(1), root(1e-3), S))
      expected.push_back(vp_time(-7 * std::log(r)));
    expect_times(times(*q, {{"steps", S}, {"spacing", "karras"}}, false), expected, 1e-10);
  }
}

TEST(Grid, EverySpacingGoesDownOnEveryProcessBetweenAnyEnds) {
  const std::vector<std::shared_ptr<Scheduler>> all{
      process("vp"),          process("vp", {{"beta_max", 3.3}, {"t_min", 1e-5}}),
      process("ve"),          process("ve", {{"sigma_max", 348.0}}),
      process("ddpm-linear"), process("ncsn-ladder", {{"L", 232}})};
  for (const auto& q : all)
    for (const char* spacing : {"uniform", "quadratic", "log-snr", "karras"})
      for (const double from : {1.0, 0.83, 0.31})
        for (const bool zero : {false, true})
          for (const int S : {1, 6, 31}) {
            const std::vector<double> t =
                times(*q, {{"steps", S}, {"spacing", spacing}, {"from", from}}, zero);
            EXPECT_TRUE(std::is_sorted(t.rbegin(), t.rend())) << spacing << " from " << from;
            EXPECT_EQ(t.size(), S + 1u);
          }
}

TEST(Grid, TimesOfADiscreteProcessLieOnItsLevels) {
  const auto q = process("ddpm-linear");
  for (const char* spacing : {"uniform", "quadratic", "log-snr", "karras"})
    for (const bool zero : {false, true})
      for (const double t : times(*q, {{"steps", 30}, {"spacing", spacing}}, zero))
        EXPECT_NEAR(t * 1000, std::nearbyint(t * 1000), 1e-9) << spacing;
  std::vector<double> expected;
  for (const double root : uniform_times(1, std::sqrt(1e-3), 29))
    expected.push_back(std::nearbyint(root * root * 1000) / 1000);
  expected.push_back(0);
  expect_times(times(*q, {{"steps", 30}, {"spacing", "quadratic"}}, true), expected);
}

/// diffusers' 0-based timesteps as our levels, then 0.
std::vector<double> of_timesteps(const std::vector<int>& timesteps) {
  std::vector<double> out;
  for (const int t : timesteps) out.push_back((t + 1) / 1000.0);
  out.push_back(0);
  return out;
}

TEST(Grid, LeadingIsTheIntegerStrideOfDiffusers) {  // arange(S) * (T // S), reversed
  const auto q = process("ddpm-linear");
  expect_times(times(*q, {{"steps", 10}, {"spacing", "leading"}}, true),
               of_timesteps({900, 800, 700, 600, 500, 400, 300, 200, 100, 0}));
  for (const int S : {1, 7, 50, 300, 600, 1000}) {
    std::vector<int> timesteps;
    for (int k = S - 1; k >= 0; --k) timesteps.push_back(k * (1000 / S));
    expect_times(times(*q, {{"steps", S}, {"spacing", "leading"}}, true), of_timesteps(timesteps));
  }
}

// round(arange(T, 0, -T/S)) - 1, halves to even as numpy rounds
TEST(Grid, TrailingIsTheRoundedStrideOfDiffusers) {
  const auto q = process("ddpm-linear");
  expect_times(times(*q, {{"steps", 10}, {"spacing", "trailing"}}, true),
               of_timesteps({999, 899, 799, 699, 599, 499, 399, 299, 199, 99}));
  expect_times(times(*q, {{"steps", 3}, {"spacing", "trailing"}}, true),
               of_timesteps({999, 666, 332}));
  expect_times(times(*q, {{"steps", 16}, {"spacing", "trailing"}}, true),  // strides of 62.5
               of_timesteps({999, 937, 874, 811, 749, 687, 624, 561, 499, 437, 374, 311, 249, 187,
                             124, 61}));
  EXPECT_EQ(times(*q, {{"steps", 1000}, {"spacing", "trailing"}}, true).size(), 1001u);
}

TEST(Grid, StridesNeedEnoughLevelsAndACleanEnd) {
  for (const char* spacing : {"leading", "trailing"}) {
    EXPECT_THROW(times(*process("vp"), {{"steps", 10}, {"spacing", spacing}}, true), Error);
    EXPECT_THROW(times(*process("ddpm-linear"), {{"steps", 1001}, {"spacing", spacing}}, true),
                 Error);
    EXPECT_THROW(times(*process("ddpm-linear"), {{"steps", 10}, {"spacing", spacing}}, false),
                 Error)
        << "it would be uniform in silence";
    EXPECT_THROW(
        times(*process("ddpm-linear"), {{"steps", 10}, {"spacing", spacing}, {"to", 0.2}}, true),
        Error);
  }
}

TEST(Grid, RefineMakesSoManyStepsALevel) {
  const auto q = process("ddpm-linear", {{"T", 40}});
  expect_times(times(*q, {{"refine", 3}}, false), uniform_times(1, 1 / 40.0, 3 * 39));
  std::vector<double> to_zero = uniform_times(1, 1 / 40.0, 3 * 40 - 1);
  to_zero.push_back(0);
  expect_times(times(*q, {{"refine", 3}}, true), to_zero);
  std::vector<double> levels = uniform_times(1, 0, 40);
  expect_times(times(*q, Json::object(), true), levels);
  levels.pop_back();
  expect_times(times(*q, Json::object(), false), levels);
}

TEST(Grid, OneLevelStaysWhereItIs) {
  EXPECT_EQ(times(*process("one-level"), {{"steps", 4}}, false),
            (std::vector<double>{1, 1, 1, 1, 1}));
}

/// The times that rows with these uniform numbers have.
std::vector<double> drawn(const Scheduler& q, const char* law, const std::vector<double>& u) {
  TimeLaw times;
  set(times, {{"times", law}});
  const Times t = times.draw(q, u).t;
  std::vector<double> out;
  for (std::size_t r = 0; r < u.size(); ++r) out.push_back(t[r]);
  return out;
}

std::vector<double> equidistant(int n) {
  std::vector<double> out;
  for (int k = 0; k < n; ++k) out.push_back((k + 0.5) / n);
  return out;
}

TEST(TimeLaw, HitsEveryLevelEquallyOften) {
  const auto q = process("ddpm-linear", {{"T", 10}});
  for (const char* law : {"uniform", "levels", "stratified", "antithetic"}) {
    std::vector<int> hits(11);
    for (const double t : drawn(*q, law, equidistant(1000))) {
      EXPECT_NEAR(t * 10, std::nearbyint(t * 10), 1e-12);
      ++hits.at(static_cast<std::size_t>(std::lround(t * 10)));
    }
    EXPECT_EQ(hits, (std::vector<int>{0, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100})) << law;
  }
  EXPECT_EQ(drawn(*q, "levels", {1e-12, 1 - 1e-12}), (std::vector<double>{0.1, 1}));
}

TEST(TimeLaw, UniformIsLinearInTheNumberDrawn) {
  expect_times(drawn(*process("vp"), "uniform", {0.25, 0.5, 1e-9}),
               {1e-3 + 0.25 * 0.999, 1e-3 + 0.5 * 0.999, 1e-3}, 1e-9);
}

TEST(TimeLaw, AntitheticMirrorsTheFirstHalf) {
  const std::vector<double> u{0.1, 0.62, 0.97, 0.5, 0.33};
  const auto mirrored = [](double low, const std::vector<double>& t) {
    // the odd row has no partner
    return std::vector<double>{t[0], t[1], t[2], low + 1 - t[0], low + 1 - t[1]};
  };
  const std::vector<double> t = drawn(*process("vp"), "antithetic", u);
  expect_times(t, mirrored(1e-3, drawn(*process("vp"), "uniform", u)));
  const auto ddpm = process("ddpm-linear", {{"T", 1000}});
  expect_times(drawn(*ddpm, "antithetic", u), mirrored(1e-3, drawn(*ddpm, "uniform", u)),
               1.001e-3);  // u on a level's edge falls to one side
  const std::vector<double> inside{0.1003, 0.6204, 0.9706, 0.5, 0.5, 0.5};
  const std::vector<double> level = drawn(*ddpm, "antithetic", inside);
  // i and N + 1 - i
  for (int r = 0; r < 3; ++r) EXPECT_NEAR(level[r] + level[r + 3], 1.001, 1e-12);
}

TEST(TimeLaw, StratifiedHasOneTimeInEachShare) {
  const std::vector<double> u{0.99, 0.01, 0.5, 0.3, 0.7, 0.999, 1e-9, 0.2, 0.9, 0.4};
  const std::vector<double> t = drawn(*process("vp"), "stratified", u);
  for (int r = 0; r < 10; ++r) {
    EXPECT_NEAR(t[r], 1e-3 + 0.999 * (r + u[r]) / 10, 1e-12);
    EXPECT_GE(t[r], 1e-3 + 0.0999 * r - 1e-12);
    EXPECT_LE(t[r], 1e-3 + 0.0999 * (r + 1));
  }
  const std::vector<double> levels = drawn(*process("ddpm-linear", {{"T", 10}}), "stratified", u);
  for (int r = 0; r < 10; ++r) EXPECT_NEAR(levels[r], (r + 1) / 10.0, 1e-12);
}

TEST(Schedulers, LevelBelowIsTheNextLevelDownOrAThousandthOfTheRange) {
  for (const int T : {10, 40, 1000}) {
    const auto q = process("ddpm-linear", {{"T", T}});
    for (int i = 1; i <= T; ++i) {
      EXPECT_EQ(q->level_below(i / static_cast<double>(T)), (i - 1) / static_cast<double>(T))
          << i << " of " << T;
      EXPECT_EQ(q->level_below((i - 0.5) / T), (i - 1) / static_cast<double>(T));
    }
    EXPECT_EQ(q->level_below(0), 0);
  }
  const auto vp_ = process("vp");
  EXPECT_NEAR(vp_->level_below(1), 1 - 0.000999, 1e-15);
  EXPECT_NEAR(vp_->level_below(0.5), 0.5 - 0.000999, 1e-15);
  EXPECT_EQ(vp_->level_below(1.2e-3), 1e-3);
}

// Karras et al. 2022, table 1: ln sigma ~ N(-1.2, 1.2^2)
TEST(TimeLaw, LogNormalIsThatOfSigmaOverAlpha) {
  const std::vector<double> u{0.5, 0.841344746068543, 0.158655253931457, 1e-12,
                              1 - 1e-12};  // the median, one deviation up and down, the ends
  for (const char* name : {"edm", "vp"}) {
    const auto q = process(name);
    const std::vector<double> t = drawn(*q, "log-normal", u);
    for (int r = 0; r < 3; ++r) {
      const double expected = -1.2 + 1.2 * (r == 1 ? 1 : r == 2 ? -1 : 0);
      EXPECT_NEAR((log(q->sigma(t[r]) / q->alpha(t[r]))).one(), expected, 1e-7) << name;
    }
    EXPECT_EQ(t[3], q->t_min()) << "beyond the process: its ends";
  }
}

// Song et al. 2021: VP, g^2/sigma^2 = beta/(1 - exp(-B))
TEST(TimeLaw, ImportanceIsByG2OverSigma2AndWeighsItBack) {
  const auto q = process("vp");
  TimeLaw times;
  set(times, {{"times", "importance"}});
  const int n = 4000;
  const auto drawn = times.draw(*q, equidistant(n));
  const auto beta = [](double t) { return 0.1 + 19.9 * t; };
  const auto B = [](double t) { return 0.1 * t + 19.9 * t * t / 2; };
  const auto density = [&](double t) { return beta(t) / -std::expm1(-B(t)); };
  const auto cdf = [&](double t) { return std::log(std::expm1(B(t))); };  // its integral
  const double low = cdf(1e-3), all = cdf(1) - low;
  double mean = 0, of_t = 0;
  for (std::size_t r = 0; r < static_cast<std::size_t>(n); ++r) {
    const double t = drawn.t[r];
    EXPECT_NEAR((cdf(t) - low) / all, (static_cast<double>(r) + 0.5) / n, 1e-6);
    EXPECT_NEAR(drawn.importance[r] * density(t) / all * 0.999, 1, 1e-6) << t;
    mean += drawn.importance[r] / n;
    of_t += drawn.importance[r] * t / n;
  }
  EXPECT_NEAR(mean, 1, 2e-2);
  EXPECT_NEAR(of_t, 0.5005, 2e-2) << "means are those of uniform times";
}

TEST(TimeLaw, DrawsByTheMeanSquareOfTheLastTenLosses) {  // Nichol & Dhariwal 2021, equation 18
  const auto q = process("ddpm-linear", {{"T", 4}});
  TimeLaw times;
  set(times, {{"times", "loss-second-moment"}});
  const auto learn = [&](int level, double loss) { times.learn(*q, level / 4.0, {loss}); };
  for (int k = 0; k < 12; ++k)
    for (int level = 1; level <= 4; ++level) {
      if (level == 4 && k == 9) {
        const auto drawn = times.draw(*q, equidistant(400));
        for (std::size_t r = 0; r < 400; ++r) {
          EXPECT_EQ(drawn.importance[r], 1) << "uniform until every level has ten";
          EXPECT_EQ(drawn.t[r], (static_cast<double>(r / 100) + 1) / 4);
        }
      }
      learn(level, k < 2 ? 100.0 : level * (k % 2 ? 1.0 : 3.0));  // the first two are forgotten
    }
  const double root = std::sqrt((1 + 9) / 2.0);
  const auto drawn = times.draw(*q, equidistant(100000));
  std::vector<int> hits(5);
  for (std::size_t r = 0; r < 100000; ++r) {
    const auto level = static_cast<std::size_t>(std::lround(4 * drawn.t[r]));
    const double chance = 0.999 * static_cast<double>(level) * root / (10 * root) + 0.001 / 4;
    EXPECT_NEAR(drawn.importance[r] * 4 * chance, 1, 1e-9);
    ++hits[level];
  }
  for (int level = 1; level <= 4; ++level)
    EXPECT_NEAR(hits[static_cast<std::size_t>(level)] / 1e5, 0.0999 * level + 0.00025, 2e-5);
}

}  // namespace
}  // namespace scorelab::test
