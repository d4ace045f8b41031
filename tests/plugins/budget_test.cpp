#include <gmock/gmock.h>

#include <map>

#include "sampling_testing.h"

namespace scorelab::test {
namespace {

using Cost = std::function<std::int64_t(std::int64_t)>;

/// The most steps that cost at most `nfe`, one after the other.
std::int64_t by_counting(std::int64_t nfe, const Cost& cost) {
  std::int64_t n = 0;
  while (cost(n + 1) <= nfe) ++n;
  return n;
}

struct Found {
  std::int64_t steps;
  int calls;
};
Found found(std::int64_t nfe, const Cost& cost) {
  Found out{0, 0};
  out.steps = steps_within(nfe, [&](std::int64_t n) -> std::optional<std::int64_t> {
    ++out.calls;
    const std::int64_t spent = cost(n);
    return spent <= nfe ? std::optional(spent) : std::nullopt;
  });
  return out;
}

TEST(StepsWithin, AreTheMostThatFitWhateverTheirCost) {
  std::map<std::string, Cost> costs{
      {"2n - 1", [](std::int64_t n) { return 2 * n - 1; }},
      {"n + n/3", [](std::int64_t n) { return n + n / 3; }},
      {"n/2 + 1", [](std::int64_t n) { return n / 2 + 1; }},
      {"n^2", [](std::int64_t n) { return n * n; }},
      {"3 n^2 / 50 + n + 1", [](std::int64_t n) { return 3 * n * n / 50 + n + 1; }}};
  for (const std::int64_t a : {0, 1, 5, 100})
    for (const std::int64_t b : {1, 2, 3, 7, 1000})
      costs["a + b n, " + std::to_string(a) + " " + std::to_string(b)] = [a, b](std::int64_t n) {
        return a + b * n;
      };
  for (const auto& [name, cost] : costs)
    for (std::int64_t nfe = 1; nfe < 1300; nfe += nfe < 40 ? 1 : 97)
      if (cost(1) <= nfe)
        EXPECT_EQ(found(nfe, cost).steps, by_counting(nfe, cost)) << name << ", nfe = " << nfe;
      else
        EXPECT_THROW(found(nfe, cost), Error) << name << ", nfe = " << nfe;
}

TEST(StepsWithin, TakeFewDryRunsWhereCostsAreAffine) {
  for (const std::int64_t a : {0, 1, 3})
    for (const std::int64_t b : {1, 2, 4, 100})
      for (const std::int64_t nfe : {1, 2, 10, 500, 1000, 1001, 100000})
        if (a + b <= nfe) {
          EXPECT_LE(found(nfe, [&](std::int64_t n) { return a + b * n; }).calls, 5)
              << a << " + " << b << " n <= " << nfe;
        }
  EXPECT_LE(found(100000, [](std::int64_t n) { return n + n / 3; }).calls, 40);
}

TEST(StepsWithin, SayWhyThereAreNone) {
  const auto why = [](std::int64_t nfe, const Cost& cost) -> std::string {
    try {
      found(nfe, cost);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(why(4, [](std::int64_t n) { return 4 + n; }),
              testing::HasSubstr("nfe = 4 network evaluations buys no step"));
  EXPECT_THAT(why(50, [](std::int64_t) { return 7; }),
              testing::HasSubstr("more steps cost no more"));
}

const Law law = gaussian({0.7, -1.2}, {0.5, 1.0});

TEST(DryRun, CountsTheEvaluationsOfOneSample) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const auto cost = [&](const Json& sampler) {
    Sampling s = sampling(w, law, sampler);
    return dry_run(s, 1000).value();
  };
  EXPECT_EQ(cost(plugin("step", "ancestral", {{"steps", 9}})), 9);
  EXPECT_EQ(cost(plugin("step", "euler-maruyama", {{"steps", 9}, {"denoise", true}})), 10);
  EXPECT_EQ(cost(plugin("sampler", "pf-ode", {{"solver", "heun"}, {"steps", 9}})), 18);
  // its last step is Euler's
  EXPECT_EQ(cost(plugin("sampler", "pf-ode", {{"solver", "heun"}, {"steps", 9}, {"to", 0.0}})), 17);
  EXPECT_EQ(cost(plugin("sampler", "pf-ode", {{"solver", "rk4"}, {"steps", 9}, {"denoise", true}})),
            37);
  EXPECT_EQ(cost(plugin("sampler", "predictor-corrector",
                        {{"steps", 9},
                         {"predictor", plugin("step", "ancestral")},
                         {"corrector", plugin("step", "langevin", {{"repeats", 2}})},
                         {"denoise", true}})),
            9 + 8 * 2);  // no correction at 0, where it ends
  for (const char* one : {"ddim", "dpm-solver-pp", "unipc", "deis"})
    EXPECT_EQ(cost(plugin("step", one, {{"steps", 9}})), 9) << one;
  EXPECT_EQ(cost(plugin("step", "dpm-solver-pp", {{"order", 3}, {"steps", 9}})), 9);
  EXPECT_EQ(cost(plugin("step", "dpm-solver-pp", {{"method", "singlestep"}, {"steps", 9}})),
            2 * 9 - 1);
  EXPECT_EQ(cost(plugin("sampler", "edm-heun", {{"steps", 9}})), 2 * 9 - 1);
  EXPECT_EQ(cost(plugin("sampler", "edm-heun", {{"steps", 9}, {"S_churn", 3.0}})), 2 * 9 - 1);
  EXPECT_EQ(cost(plugin("step", "stochastic-heun", {{"steps", 9}})), 2 * 9);
}

TEST(DryRun, BuysTheMostStepsOfSamplersWithTwoEvaluationsAStep) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const auto steps = [&](const Json& sampler, std::int64_t nfe) {
    return steps_within(nfe, [&](std::int64_t n) {
      Json config = sampler;
      config["params"]["steps"] = n;
      Sampling s = sampling(w, law, config);
      return dry_run(s, nfe);
    });
  };
  EXPECT_EQ(steps(plugin("step", "unipc"), 20), 20);
  for (const Json& two : {plugin("sampler", "edm-heun"),
                          plugin("step", "dpm-solver-pp", {{"method", "singlestep"}})}) {
    EXPECT_EQ(steps(two, 20), 10);
    EXPECT_EQ(steps(two, 21), 11);
  }
}

TEST(DryRun, IsEndedByItsBound) {
  World w = exact(plugin("scheduler", "vp"), law);
  w.context->chunk = 16;
  w.context->max_nfe = 77;
  w.group = 3;
  Sampling s = sampling(w, law, plugin("step", "ancestral", {{"steps", 9}}));
  EXPECT_EQ(dry_run(s, 9), 9);
  EXPECT_EQ(dry_run(s, 8), std::nullopt);
  EXPECT_EQ(dry_run(s, 1), std::nullopt);
  EXPECT_EQ(dry_run(s, 9), 9);
}

TEST(DryRun, PassesOtherErrorsOn) {
  const World w = exact(plugin("scheduler", "vp"), law);
  // outside the process
  Sampling s = sampling(w, law, plugin("step", "ancestral", {{"steps", 9}, {"from", 7.0}}));
  EXPECT_THROW(dry_run(s, 100), Error);
}

}  // namespace
}  // namespace scorelab::test
