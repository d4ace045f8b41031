#include <gtest/gtest.h>
#include <scorelab/bound.h>

#include "objectives_testing.h"

namespace scorelab::test {
namespace {

/// E L_t and E L_t^2 of the bound's terms t = 2 .. T, of one dimension.
struct Moments {
  std::vector<double> mean, second;
};

/// A process by its betas, in plain doubles: data N(0, 1/4), the exact model, variance beta. x0
/// less its exact mean is normal with variance s^2 b^2 / v (papers.md, O1), so that L_t is c + k
/// z^2.
Moments known(const std::vector<double>& beta) {
  Moments out;
  double abar = 1 - beta[0];
  for (std::size_t i = 1; i < beta.size(); ++i) {
    // beta~ / beta
    const double before = abar, ratio = (1 - before) / (1 - before * (1 - beta[i]));
    abar *= 1 - beta[i];
    const double v = 0.25 * abar + 1 - abar, A = std::sqrt(before) * beta[i] / (1 - abar);
    const double c = 0.5 * (ratio - 1 - std::log(ratio)),
                 k = A * A * 0.25 * (1 - abar) / v / (2 * beta[i]);
    out.mean.push_back(c + k);
    out.second.push_back(c * c + 2 * c * k + 3 * k * k);
  }
  return out;
}

/// The same by Bound and the exact network. L_t is of degree four in (x0, eps), where three nodes
/// of Gauss and Hermite each are exact.
Moments measured(const World& w) {
  const double nodes[] = {-std::sqrt(3.0), 0, std::sqrt(3.0)},
               weights[] = {1 / 6.0, 2 / 3.0, 1 / 6.0};
  const std::int64_t T = w.q->levels();
  std::vector<double> t, s;
  for (std::int64_t i = 2; i <= T; ++i) {
    t.push_back(static_cast<double>(i) / static_cast<double>(T));
    s.push_back(static_cast<double>(i - 1) / static_cast<double>(T));
  }
  const Bound bound("large");
  at::Tensor mean = at::zeros({T - 1}, at::kDouble), second = mean.clone();
  for (int k = 0; k < 9; ++k) {
    const at::Tensor x0 = at::full({T - 1, 1}, 0.5 * nodes[k / 3], at::kDouble),
                     eps = at::full({T - 1, 1}, nodes[k % 3], at::kDouble);
    const at::Tensor L = bound.term(
        w.model()(w.q->alpha(Times(t)) * x0 + w.q->sigma(Times(t)) * eps, Times(t)), x0, Times(s));
    mean += weights[k / 3] * weights[k % 3] * L;
    second += weights[k / 3] * weights[k % 3] * L.square();
  }
  return {{mean.const_data_ptr<double>(), mean.const_data_ptr<double>() + T - 1},
          {second.const_data_ptr<double>(), second.const_data_ptr<double>() + T - 1}};
}

std::vector<double> linear(int T, double first, double last) {
  std::vector<double> out;
  for (int i = 0; i < T; ++i) out.push_back(first + (last - first) * i / (T - 1));
  return out;
}

std::vector<double> cosine(int T) {  // Nichol & Dhariwal 2021, equation 17
  const auto f = [T](int i) {
    return std::pow(std::cos((static_cast<double>(i) / T + 0.008) / 1.008 * M_PI / 2), 2);
  };
  std::vector<double> out;
  for (int i = 1; i <= T; ++i) out.push_back(std::min(1 - f(i) / f(i - 1), 0.999));
  return out;
}

double sum(
    const std::vector<double>& of, double (*f)(double) = [](double v) { return v; }) {
  double out = 0;
  for (const double v : of) out += f(v);
  return out;
}

/// What drawing times by `law` makes of the terms: the mean and the second moment of importance
/// times L_t. The first level, whose term is of another kind, has none.
std::pair<double, double> drawn(const TimeLaw& law, const Scheduler& q, const Moments& L,
                                std::size_t rows = 100000) {
  std::vector<double> u;
  for (std::size_t r = 0; r < rows; ++r)
    u.push_back((static_cast<double>(r) + 0.5) / static_cast<double>(rows));
  const auto [t, importance] = law.draw(q, u);
  double mean = 0, second = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    const auto level =
        static_cast<std::size_t>(std::lround(t[r] * static_cast<double>(q.levels())));
    if (level < 2) continue;
    mean += importance[r] * L.mean[level - 2];
    second += importance[r] * importance[r] * L.second[level - 2];
  }
  return {mean / static_cast<double>(rows), second / static_cast<double>(rows)};
}

/// papers.md, O10: what p proportional to sqrt(E L_t^2) saves over uniform times, as a ratio of
/// second moments.
TEST(ImportanceOfTimes, SavesTheKnownFactorOnAGaussian) {
  const struct {
    Json scheduler;
    std::vector<double> beta;
    double factor;
  } of[] = {{plugin("scheduler", "ddpm-linear", {{"T", 1000}}), linear(1000, 1e-4, 0.02), 21},
            {plugin("scheduler", "ddpm-linear",
                    {{"T", 4000}, {"beta_start", 1e-4 / 4}, {"beta_end", 0.02 / 4}}),
             linear(4000, 1e-4 / 4, 0.02 / 4), 47},
            {plugin("scheduler", "ddpm-cosine", {{"T", 4000}}), cosine(4000), 36}};
  for (const auto& one : of) {
    const World w = exact(one.scheduler, gaussian({0.0}, {0.5}));
    const Moments L = measured(w), formula = known(one.beta);
    ASSERT_EQ(L.second.size(), formula.second.size());
    for (std::size_t i = 0; i < L.second.size(); ++i) {
      EXPECT_NEAR(L.mean[i] / formula.mean[i], 1, 1e-6) << i + 2;
      EXPECT_NEAR(L.second[i] / formula.second[i], 1, 1e-6) << i + 2;
    }
    const auto T = static_cast<double>(one.beta.size());
    const double uniform = sum(L.second) / T,
                 best = std::pow(sum(L.second, [](double v) { return std::sqrt(v); }) / T, 2);
    EXPECT_NEAR(uniform / best, one.factor, 0.5);

    TimeLaw law("loss-second-moment");
    EXPECT_NEAR(drawn(law, *w.q, L).second / uniform, 1, 1e-9) << "nothing seen yet";
    for (int seen = 0; seen < 10; ++seen) {
      law.learn(*w.q, 1 / T, {0});
      for (std::size_t i = 0; i < L.second.size(); ++i)
        law.learn(*w.q, static_cast<double>(i + 2) / T,
                  {(seen % 2 ? 1 : -1) * std::sqrt(L.second[i])});
    }
    const auto [mean, second] = drawn(law, *w.q, L);
    EXPECT_NEAR(second / best, 1, 0.01) << "one in a thousand is still uniform";
    EXPECT_GT(uniform / second, 10);
    EXPECT_NEAR(mean / (sum(L.mean) / T), 1, 0.005) << "unbiased";
  }
}

TEST(ImportanceOfTimes, SavesMostOfItByTenLossesOfEachLevel) {
  const World w = exact(plugin("scheduler", "ddpm-linear"), gaussian({0.0}, {0.5}));
  const Moments L = measured(w);
  const Bound bound("large");
  TimeLaw law("loss-second-moment");
  for (int i = 1; i <= 1000; ++i) {
    const double t = i / 1000.0;
    const TrainBatch b = batch(
        w,
        0.5 * Noise(static_cast<std::uint64_t>(i), "data").normal(at::empty({10, 1}, at::kDouble)),
        t, static_cast<std::uint64_t>(1000 + i));
    const at::Tensor terms = i == 1 ? at::zeros({10}, at::kDouble)
                                    : bound.term(w.model()(b.x, t), b.x0, w.q->level_below(t));
    for (int k = 0; k < 10; ++k) law.learn(*w.q, t, {terms[k].item<double>()});
  }
  const auto [mean, second] = drawn(law, *w.q, L);
  EXPECT_GT(sum(L.second) / 1000 / second, 10);
  EXPECT_NEAR(mean / (sum(L.mean) / 1000), 1, 0.005) << "unbiased, whatever was seen";
}

}  // namespace
}  // namespace scorelab::test
