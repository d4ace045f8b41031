#include <gtest/gtest.h>

#include "formulas.h"
#include "objectives_testing.h"

namespace scorelab::test {
namespace {

TimeLaw law(const std::string& name) { return TimeLaw(name); }

/// Equidistant numbers in (0, 1): the law of a row's draw itself. Strata have their own row each,
/// and its middle.
std::vector<double> quadrature(std::int64_t n, bool strata = false) {
  std::vector<double> out;
  for (std::int64_t k = 0; k < n; ++k)
    out.push_back(strata ? 0.5 : (static_cast<double>(k) + 0.5) / static_cast<double>(n));
  return out;
}

TimeLaw::Drawn draws(const TimeLaw& of, const std::string& name, const Scheduler& q,
                     std::int64_t n) {
  return of.draw(q, quadrature(n, name == "stratified"));
}

/// The mean of importance times value: what training by this law aims at.
template <class Value>
double expectation(const TimeLaw::Drawn& drawn, Value&& value) {
  double sum = 0;
  for (std::size_t r = 0; r < drawn.t.rows(); ++r) sum += drawn.importance[r] * value(r);
  return sum / static_cast<double>(drawn.t.rows());
}

/// Losses of one fixed (x0, eps) and a network that says F, at each of the times.
std::vector<double> losses(const World& w, const Objective& of, const Times& t) {
  const auto rows = static_cast<std::int64_t>(t.rows());
  const at::Tensor x0 = at::tensor({0.8, -0.3}, at::kDouble).expand({rows, 2}),
                   eps = at::tensor({-0.4, 1.1}, at::kDouble).expand({rows, 2});
  const at::Tensor out =
      loss(w, of, {x0, eps, w.q->alpha(t) * x0 + w.q->sigma(t) * eps, t}).detach().contiguous();
  return {out.const_data_ptr<double>(), out.const_data_ptr<double>() + rows};
}

World fixed(const Json& scheduler) {
  OutputOptions output;
  output.predict = "x0";
  return world(
      scheduler,
      std::make_shared<TinyNetwork>(at::tensor({0.5, 0.1, -0.2, 0.4}, at::kDouble).view({2, 2}),
                                    at::zeros({2}, at::kDouble)),
      {2}, at::kDouble, output);
}

const std::vector<std::pair<const char*, Json>> weights{
    {"ddpm", {{"weight", "unit"}}},
    {"ddpm", {{"weight", "simple"}}},
    {"ddpm", {{"weight", "min-snr"}}},
    {"denoising-score-matching", {{"weight", "sigma2"}}},
    {"denoising-score-matching", {{"weight", "unit"}}},
    {"flow-matching", Json::object()}};

TEST(TimeLaws, OnAChainTheExpectationIsTheMeanOverItsLevels) {
  auto all = weights;
  for (const char* variance : {"large", "small"})
    all.push_back({"ddpm", {{"weight", "elbo"}, {"variance", variance}}});
  for (const char* scheduler :
       {"ddpm-linear", "ddpm-cosine", "scaled-linear", "ddpm-sigmoid", "ncsn-ladder"})
    for (const int T : {2, 10, 64}) {
      const World w = fixed(plugin("scheduler", scheduler,
                                   {{scheduler == std::string("ncsn-ladder") ? "L" : "T", T}}));
      std::vector<double> levels;
      for (int i = 1; i <= T; ++i) levels.push_back(static_cast<double>(i) / T);
      for (const char* by :
           {"uniform", "levels", "antithetic", "stratified", "importance", "loss-second-moment"}) {
        TimeLaw times = law(by);
        if (times.learns())
          for (int k = 0; k < 10; ++k)
            for (int i = 1; i <= T; ++i)
              times.learn(*w.q, static_cast<double>(i) / T, {1.0 + i % 3 + k});
        const TimeLaw::Drawn drawn = draws(times, by, *w.q, 64000);
        for (const auto& [name, params] : all) {
          const std::vector<double> of_level = losses(w, *objective(name, params), Times(levels));
          double enumerated = 0;
          for (const double value : of_level) enumerated += value / T;
          const double got = expectation(drawn, [&](std::size_t r) {
            const double level = drawn.t[r] * T;
            return std::abs(level - std::nearbyint(level)) < 1e-9
                       ? of_level[static_cast<std::size_t>(std::lround(level)) - 1]
                       : NAN;
          });
          EXPECT_NEAR(got / enumerated, 1, 5e-3)
              << by << ", " << scheduler << " " << T << ", " << name << params;
        }
      }
    }
}

TEST(TimeLaws, OnAChainImportanceDrawsLevels) {
  const World w = fixed(plugin("scheduler", "ddpm-linear", {{"T", 10}, {"beta_end", 0.3}}));
  const auto [t, importance] = law("importance").draw(*w.q, quadrature(100000));
  const Ddpm q(10, 1e-4, 0.3);
  const auto lambda = [&q](int i) { return std::log(q.at(i).a / q.at(i).b); };
  // Level i's own is what log(alpha/sigma) falls by from the level below; the first, which falls
  // from infinity, has the second's.
  std::vector<double> falls(11), hits(11);
  for (int i = 2; i <= 10; ++i) falls[static_cast<std::size_t>(i)] = lambda(i - 1) - lambda(i);
  falls[1] = falls[2];
  double sum = 0;
  for (const double one : falls) sum += one;
  for (std::size_t r = 0; r < t.rows(); ++r) {
    const auto level = static_cast<std::size_t>(std::lround(10 * t[r]));
    ASSERT_NEAR(10 * t[r], static_cast<double>(level), 1e-12);
    EXPECT_NEAR(importance[r] * 10 * falls[level] / sum, 1, 1e-9);
    hits[level] += 1e-5;
  }
  for (std::size_t i = 1; i <= 10; ++i) EXPECT_NEAR(hits[i], falls[i] / sum, 2e-5) << i;
}

TEST(TimeLaws, InContinuousTimeTheExpectationIsTheMeanOverT) {
  auto all = weights;
  all.push_back({"denoising-score-matching", {{"weight", "likelihood"}}});
  for (const auto& [scheduler, params] :
       std::vector<std::pair<const char*, Json>>{{"vp", Json::object()},
                                                 {"sub-vp", {{"t_min", 0.01}}},
                                                 {"ve", Json::object()},
                                                 {"laplace", {{"t_min", 0.01}}},
                                                 {"flow", {{"alpha_min", 0.01}}}}) {
    const World w = fixed(plugin("scheduler", scheduler, params));
    const std::int64_t n = 20000;
    std::vector<double> middles;
    for (const double u : quadrature(n))
      middles.push_back(w.q->t_min() + u * (w.q->t_max() - w.q->t_min()));
    for (const char* by : {"uniform", "antithetic", "stratified", "importance"}) {
      const TimeLaw::Drawn drawn = draws(law(by), by, *w.q, n);
      for (const auto& [name, of_objective] : all) {
        const auto of = objective(name, of_objective);
        const std::vector<double> at_middles = losses(w, *of, Times(middles)),
                                  at_draws = losses(w, *of, drawn.t);
        double integral = 0;
        for (const double value : at_middles) integral += value / static_cast<double>(n);
        EXPECT_NEAR(expectation(drawn, [&](std::size_t r) { return at_draws[r]; }) / integral, 1,
                    5e-3)
            << by << ", " << scheduler << ", " << name << of_objective;
      }
    }
  }
}

// log(sigma/alpha) ~ N(-1.2, 1.2^2): Karras et al. 2022
TEST(TimeLaws, LogNormalsExpectationIsThatOfItsOwnLaw) {
  const World w = fixed(plugin("scheduler", "edm"));
  const auto of = objective("ddpm", {{"weight", "min-snr"}});  // bounded on both sides
  std::vector<double> sigma, density;
  double mass = 0, integral = 0;
  for (int k = -4000; k <= 4000; ++k) {  // within four deviations, which the process covers
    const double z = k / 1000.0;
    sigma.push_back(std::exp(-1.2 + 1.2 * z));
    density.push_back(std::exp(-z * z / 2));
  }
  const std::vector<double> values = losses(w, *of, Times(sigma));
  for (std::size_t k = 0; k < values.size(); ++k) {
    mass += density[k];
    integral += density[k] * values[k];
  }
  const TimeLaw::Drawn drawn = draws(law("log-normal"), "log-normal", *w.q, 20000);
  const std::vector<double> at_draws = losses(w, *of, drawn.t);
  EXPECT_NEAR(expectation(drawn, [&](std::size_t r) { return at_draws[r]; }) / (integral / mass), 1,
              5e-3);
}

}  // namespace
}  // namespace scorelab::test
