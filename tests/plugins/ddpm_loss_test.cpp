#include <gtest/gtest.h>

#include "formulas.h"
#include "objectives_testing.h"

namespace scorelab::test {
namespace {

const at::Tensor A = at::tensor({0.9, 0.2, -0.1, 0.6}, at::kDouble).view({2, 2});

World tiny(const std::string& predict, int T = 50, std::vector<std::int64_t> shape = {2}) {
  OutputOptions output;
  output.predict = predict;
  const auto network = std::make_shared<TinyNetwork>(A, at::tensor({0.1, -0.2}, at::kDouble), 0.3);
  return world(plugin("scheduler", "ddpm-linear", {{"T", T}}), network, std::move(shape),
               at::kDouble, output);
}

at::Tensor data(std::int64_t rows) {
  return Noise(3, "data").normal(at::empty({rows, 2}, at::kDouble));
}

/// The rows' levels of T.
const std::vector<int> levels{1, 2, 10, 50};
Times times(int T) {
  std::vector<double> out;
  for (const int i : levels) out.push_back(static_cast<double>(i) / T);
  return Times(out);
}

TEST(DdpmLoss, SimpleIsTheMeanSquaredErrorOfEps) {  // Ho et al. 2020, equation 14
  const World w = tiny("eps");
  const TrainBatch b = batch(w, data(4), times(50));
  const at::Tensor F = b.x.matmul(A.t()) + at::tensor({0.1, -0.2}, at::kDouble) + 0.3 * b.x.tanh();
  const at::Tensor expected = (F - b.eps).square().mean(1);
  for (const char* weight : {"unit", "simple"})
    expect_close(loss(w, *objective("ddpm", {{"weight", weight}}), b).detach(), expected);
}

TEST(DdpmLoss, UnitIsTheErrorOfWhatIsPredictedAndSimpleAlwaysThatOfEps) {
  const Ddpm process(50);
  for (const char* predict : {"x0", "v", "score"}) {
    const World w = tiny(predict);
    const TrainBatch b = batch(w, data(4), times(50));
    const at::Tensor F =
        (b.x.matmul(A.t()) + at::tensor({0.1, -0.2}, at::kDouble) + 0.3 * b.x.tanh()).detach();
    const at::Tensor unit = loss(w, *objective("ddpm", {{"weight", "unit"}}), b).detach(),
                     simple = loss(w, *objective("ddpm", {{"weight", "simple"}}), b).detach();
    for (std::int64_t r = 0; r < 4; ++r) {
      const auto [a, s] = process.at(levels[static_cast<std::size_t>(r)]);
      const at::Tensor x0 = b.x0[r], eps = b.eps[r], x = b.x[r], f = F[r];
      at::Tensor truth = x0, as_eps = (x - a * f) / s;
      // Salimans & Ho 2022
      if (predict == std::string("v")) {
        truth = a * eps - s * x0;
        as_eps = s * x + a * f;
      }
      if (predict == std::string("score")) {
        truth = -eps / s;
        as_eps = -s * f;
      }
      EXPECT_NEAR(unit[r].item<double>() / (f - truth).square().mean().item<double>(), 1, 1e-9)
          << predict << " " << r;
      EXPECT_NEAR(simple[r].item<double>() / (as_eps - eps).square().mean().item<double>(), 1, 1e-9)
          << predict << " " << r;
    }
  }
}

TEST(DdpmLoss, ElboIsTheKullbackLeiblerTermOfEachLevel) {
  // Ho et al. 2020, equations 7, 8, 11: N |mu~(x_t, x0) - mu(x_t, t)|^2 / (2 sigma^2); beta~ is 0
  // at the first level, where the second's stands in.
  const int T = 50;
  const Ddpm process(T);
  const World w = tiny("eps", T);
  const TrainBatch b = batch(w, data(4), times(T));
  const at::Tensor F =
      (b.x.matmul(A.t()) + at::tensor({0.1, -0.2}, at::kDouble) + 0.3 * b.x.tanh()).detach();
  for (const bool large : {true, false}) {
    const at::Tensor got =
        loss(w, *objective("ddpm", {{"weight", "elbo"}, {"variance", large ? "large" : "small"}}),
             b)
            .detach();
    for (std::int64_t r = 0; r < 4; ++r) {
      const int i = levels[static_cast<std::size_t>(r)];
      const double beta = process.beta[i], abar = process.abar[i], before = process.abar[i - 1];
      const auto posterior = [&](int k) {
        return process.beta[k] * (1 - process.abar[k - 1]) / (1 - process.abar[k]);
      };
      const double variance = large ? beta : posterior(std::max(2, i));
      const at::Tensor truth = std::sqrt(before) * beta / (1 - abar) * b.x0[r] +
                               std::sqrt(1 - beta) * (1 - before) / (1 - abar) * b.x[r];
      const at::Tensor mean = (b.x[r] - beta / std::sqrt(1 - abar) * F[r]) / std::sqrt(1 - beta);
      EXPECT_NEAR(got[r].item<double>() /
                      (T * (truth - mean).square().sum().item<double>() / (2 * variance)),
                  1, 1e-9)
          << i;
    }
  }
}

// papers.md, O2: a^2 s^2/v, over all levels of T = 1000 and s = .5 .173053
TEST(DdpmLoss, MeetsItsFloorWithTheExactNetwork) {
  const Ddpm process(1000);
  const Coordinate d{0.3, 0.5};
  double floor = 0;
  for (int i = 1; i <= 1000; ++i)
    floor += std::pow(process.at(i).a * d.c, 2) / d.variance(process.at(i)) / 1000;
  EXPECT_NEAR(floor, 0.173053, 5e-7);
  const World w = exact(plugin("scheduler", "ddpm-linear"), gaussian({0.3, 0.3}, {0.5, 0.5}));
  std::vector<double> t;
  for (int k = 0; k < 40; ++k)
    for (int i = 1; i <= 1000; ++i) t.push_back(i / 1000.0);
  const at::Tensor x0 = 0.3 + 0.5 * data(40000);
  const at::Tensor each_row =
      loss(w, *objective("ddpm", {{"weight", "simple"}}), batch(w, x0, Times(t))).detach();
  expect_mean(each_row, floor);
}

TEST(DdpmLoss, TheElboOfTheExactNetworkIsTheExcessOfTheReverseVariance) {
  // papers.md, O6 and O9: E |mu~ - mu*|^2 = w - beta~ a dimension, w = v_s beta/v_t the true
  // reverse variance.
  const int T = 50;
  const Ddpm process(T);
  const Coordinate d{0.3, 0.5};
  const World w =
      exact(plugin("scheduler", "ddpm-linear", {{"T", T}}), gaussian({0.3, 0.3}, {0.5, 0.5}));
  const at::Tensor x0 = 0.3 + 0.5 * data(40000);
  for (const int i : {2, 10, 50}) {
    const double beta = process.beta[i],
                 reverse = d.variance(process.at(i - 1)) * beta / d.variance(process.at(i));
    const double posterior = beta * (1 - process.abar[i - 1]) / (1 - process.abar[i]);
    const TrainBatch b = batch(w, x0, static_cast<double>(i) / T);
    expect_mean(
        loss(w, *objective("ddpm", {{"weight", "elbo"}, {"variance", "large"}}), b).detach(),
        2 * T * (reverse - posterior) / (2 * beta));
    expect_mean(
        loss(w, *objective("ddpm", {{"weight", "elbo"}, {"variance", "small"}}), b).detach(),
        2 * T * (reverse - posterior) / (2 * posterior));
  }
}

TEST(DdpmLoss, HasTheGradientsOfItsFiniteDifferences) {
  for (const char* predict : {"eps", "x0", "v", "score", "mean", "edm"})
    for (const char* weight : {"unit", "simple", "elbo"}) {
      const World w = tiny(predict);
      TrainBatch b = batch(w, data(4), times(50));
      expect_gradients(w, *objective("ddpm", {{"weight", weight}}), b, 1e-6);
    }
}

TEST(DdpmLoss, TreatsAnImageAsItsFlattenedSample) {
  const World flat = tiny("eps"), image = tiny("eps", 50, {2, 1, 1});
  for (const char* weight : {"unit", "simple", "elbo"}) {
    const auto of = objective("ddpm", {{"weight", weight}});
    const at::Tensor a = loss(flat, *of, batch(flat, data(4), times(50))).detach();
    const at::Tensor b =
        loss(image, *of, batch(image, data(4).view({4, 2, 1, 1}), times(50))).detach();
    EXPECT_EQ(b.sizes(), at::IntArrayRef({4}));
    expect_close(b, a);
  }
}

}  // namespace
}  // namespace scorelab::test
