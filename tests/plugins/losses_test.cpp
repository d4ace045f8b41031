#include <gtest/gtest.h>

#include "formulas.h"
#include "objectives_testing.h"

namespace scorelab::test {
namespace {

const at::Tensor A =
    at::tensor({1.3, 0.4, -0.2, 0.1, 0.8, 0.3, 0.5, -0.6, 2.0}, at::kDouble).view({3, 3});
const at::Tensor S =
    at::tensor({1.0, 0.3, 0.0, 0.3, 0.5, -0.2, 0.0, -0.2, 2.0}, at::kDouble).view({3, 3});

/// The network's score is -A x + curve tanh(x).
World linear_score(double sigma, double curve = 0) {
  OutputOptions output;
  output.predict = "score";
  return world(plugin("scheduler", "one-level", {{"sigma", sigma}}),
               std::make_shared<TinyNetwork>(-A, at::zeros({3}, at::kDouble), curve), {3},
               at::kDouble, output);
}

at::Tensor data(std::int64_t rows) {
  return Noise(3, "data")
      .normal(at::empty({rows, 3}, at::kDouble))
      .matmul(at::linalg_cholesky(S).t());
}

TrainBatch clean(const at::Tensor& x) { return {x, at::zeros_like(x), x, 1.0}; }

// Hyvarinen 2005; s = -A x + tanh x / 2
TEST(ExactScoreMatching, IsTheTraceAndHalfTheSquareOfEachSample) {
  const World w = linear_score(0, 0.5);
  const at::Tensor x = data(5), s = -x.matmul(A.t()) + 0.5 * x.tanh();
  const at::Tensor trace = -A.trace() + (0.5 * (1 - x.tanh().square())).sum(1);
  w.context->counts.reset(5);
  expect_close(loss(w, *objective("exact-score-matching"), clean(x)).detach(),
               0.5 * s.square().sum(1) + trace);
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, 1));
  EXPECT_EQ(w.context->counts.vjps, std::vector<std::int64_t>(5, 3))
      << "a sweep for each dimension";
}

// formulas.md, 6: tr(A S A^T)/2 - tr A
TEST(ExactScoreMatching, IsWhatSlicedScoreMatchingExpects) {
  const World w = linear_score(0);
  const at::Tensor x = data(20000);
  expect_mean(loss(w, *objective("exact-score-matching"), clean(x)).detach(),
              (0.5 * A.matmul(S).matmul(A.t()).trace() - A.trace()).item<double>());
}

TEST(ExactScoreMatching, HasTheGradientsOfItsFiniteDifferences) {
  const World w = linear_score(0.2, 0.3);
  for (const char* weight : {"unit", "sigma2"})
    expect_gradients(w, *objective("exact-score-matching", {{"weight", weight}}),
                     batch(w, data(5), 1.0));
}

TEST(ExplicitScoreMatching, IsHalfTheSquaredDistanceToTheLawsScore) {
  const Law law{at::ones({1}, at::kDouble),
                at::tensor({0.2, -0.4, 0.1}, at::kDouble).view({1, 3}),
                at::tensor({1.0, 0.5, 2.0}, at::kDouble).view({1, 3}),
                {}};
  for (const double sigma : {0.0, 0.6}) {
    const World w = linear_score(sigma, 0.5);
    const Json config = plugin("objective", "explicit-score-matching", {{"weight", "unit"}});
    const auto of = host::make_as<Objective>(config);
    host::prepare(of, config, w.setting(&law));
    const TrainBatch b = batch(w, data(5), 1.0);
    const at::Tensor s = -b.x.matmul(A.t()) + 0.5 * b.x.tanh(),
                     known = -(b.x - law.means) / (law.variances + sigma * sigma);
    expect_close(loss(w, *of, b).detach(), 0.5 * (s - known).square().sum(1));
  }
}

/// Up to a constant, all of them are one loss: their gradients on many samples agree. Here the
/// model has one number, the precision a.
// data N(0, 1/2) in 3 dimensions, s = -a x: d/da = a S - 1, an element
TEST(ScoreMatching, HasOneGradientWhicheverTheLoss) {
  const double variance = 0.5, a = 0.7;
  const Law law =
      gaussian({0, 0, 0}, {std::sqrt(variance), std::sqrt(variance), std::sqrt(variance)});
  OutputOptions output;
  output.predict = "score";
  const World w = world(
      plugin("scheduler", "one-level", {{"sigma", 0.0}}),
      std::make_shared<TinyNetwork>(-a * at::eye(3, at::kDouble), at::zeros({3}, at::kDouble)), {3},
      at::kDouble, output);
  const at::Tensor x =
      std::sqrt(variance) * Noise(5, "data").normal(at::empty({20000, 3}, at::kDouble));
  for (const char* name : {"exact-score-matching", "explicit-score-matching",
                           "sliced-score-matching", "finite-difference-score-matching"}) {
    const Json config = plugin("objective", name);
    const auto of = host::make_as<Objective>(config);
    host::prepare(of, config, w.setting(&law));
    loss(w, *of, clean(x)).mean().backward();
    at::Tensor parameter = w.parts->network->parameters()[0].second;
    const double slope = -parameter.grad().trace().item<double>();  // in a: A = -a I
    EXPECT_NEAR(slope, 3 * (a * variance - 1), 0.05) << name;
    parameter.mutable_grad().reset();
  }
}

TEST(FiniteDifferenceScoreMatching, IsSlicedScoreMatchingForALinearScore) {
  const World w = linear_score(0);
  const at::Tensor x = data(6);
  expect_close(
      loss(w, *objective("finite-difference-score-matching", {{"projections", 2}}), clean(x))
          .detach(),
      loss(w, *objective("sliced-score-matching", {{"variance_reduced", true}, {"projections", 2}}),
           clean(x))
          .detach(),
      1e-9);
}

TEST(FiniteDifferenceScoreMatching, HasABiasOfTheSquareOfItsStep) {
  const World w = linear_score(0, 1.0);
  const at::Tensor x = data(200);
  const at::Tensor sliced =
      loss(w, *objective("sliced-score-matching", {{"variance_reduced", true}}), clean(x)).detach();
  const auto bias = [&](double step) {
    return (loss(w, *objective("finite-difference-score-matching", {{"step", step}}), clean(x))
                .detach() -
            sliced)
        .abs()
        .mean()
        .item<double>();
  };
  EXPECT_NEAR(order(bias(0.4), bias(0.2)), 2, 0.1);
  EXPECT_NEAR(order(bias(0.2), bias(0.1)), 2, 0.05);
  w.context->counts.reset(200);
  bias(0.1);
  EXPECT_EQ(w.nfe()[0], 2);
  EXPECT_EQ(w.context->counts.vjps[0], 0);
}

TEST(EdmLoss, HasTheWeightOfTable1) {
  for (const char* scheduler : {"edm", "vp"}) {
    OutputOptions output;
    output.predict = "x0";
    const World w = world(plugin("scheduler", scheduler),
                          std::make_shared<TinyNetwork>(A, at::zeros({3}, at::kDouble)), {3},
                          at::kDouble, output);
    const TrainBatch b = batch(w, data(3), Times(std::vector<double>{0.02, 0.4, 0.9}));
    const at::Tensor got = loss(w, *objective("edm-loss", {{"sigma_data", 0.7}}), b).detach();
    for (std::int64_t r = 0; r < 3; ++r) {
      const double t = std::vector<double>{0.02, 0.4, 0.9}[static_cast<std::size_t>(r)];
      const Point p = scheduler == std::string("edm") ? Point{1, t} : vp(t);
      const double s = p.b / p.a, lambda = (s * s + 0.49) / (s * s * 0.49);
      EXPECT_NEAR(got[r].item<double>() /
                      (lambda * (A.matmul(b.x[r]) - b.x0[r]).square().mean().item<double>()),
                  1, 1e-9)
          << scheduler;
    }
  }
}

// papers.md, O7: data of variance sigma_data^2
TEST(EdmLoss, IsOneAtEveryLevelForANetworkThatAnswersNothing) {
  OutputOptions output;
  output.predict = "edm";
  output.sigma_data = 0.7;
  const World w = world(
      plugin("scheduler", "edm"),
      std::make_shared<TinyNetwork>(at::zeros({3, 3}, at::kDouble), at::zeros({3}, at::kDouble)),
      {3}, at::kDouble, output);
  // Quadratic in (x0, eps): the four corners have the moments of the Gaussians.
  at::Tensor
      x0 = at::tensor({0.7, 0.7, -0.7, -0.7}, at::kDouble).view({4, 1}).expand({4, 3}).contiguous(),
      eps =
          at::tensor({1.0, -1.0, 1.0, -1.0}, at::kDouble).view({4, 1}).expand({4, 3}).contiguous();
  for (const double sigma : {0.01, 0.5, 3.0, 50.0}) {
    const TrainBatch b{x0, eps, x0 + sigma * eps, sigma};
    EXPECT_NEAR(loss(w, *objective("edm-loss", {{"sigma_data", 0.7}}), b).mean().item<double>(), 1,
                1e-9)
        << sigma;
  }
}

TEST(FlowMatching, IsTheErrorOfTheVelocity) {
  OutputOptions output;
  output.predict = "velocity";
  const World w = world(plugin("scheduler", "flow"),
                        std::make_shared<TinyNetwork>(A, at::zeros({3}, at::kDouble)), {3},
                        at::kDouble, output);
  const TrainBatch b = batch(w, data(4), Times(std::vector<double>{0.05, 0.4, 0.9, 1.0}));
  expect_close(loss(w, *objective("flow-matching"), b).detach(),
               (b.x.matmul(A.t()) - (b.eps - b.x0)).square().mean(1));
  const World on_vp = world(plugin("scheduler", "vp"),
                            std::make_shared<TinyNetwork>(A, at::zeros({3}, at::kDouble)), {3},
                            at::kDouble, output);
  const double t = 0.4;
  const TrainBatch c = batch(on_vp, data(4), t);
  const Point p = vp(t);
  const at::Tensor target =
      -0.5 * vp_beta(t) * p.a * c.x0 + 0.5 * vp_beta(t) * p.a * p.a / p.b * c.eps;
  expect_close(loss(on_vp, *objective("flow-matching"), c).detach(),
               (c.x.matmul(A.t()) - target).square().mean(1));
}

TEST(MinSnr, CutsTheWeightOfX0) {  // Hang et al. 2023
  OutputOptions output;
  output.predict = "v";
  const World w = world(plugin("scheduler", "ddpm-linear", {{"T", 100}}),
                        std::make_shared<TinyNetwork>(A, at::zeros({3}, at::kDouble)), {3},
                        at::kDouble, output);
  const Ddpm process(100);
  const std::vector<double> t{0.01, 0.2, 1.0};
  const TrainBatch b = batch(w, data(3), Times(t));
  const at::Tensor got =
      loss(w, *objective("ddpm", {{"weight", "min-snr"}, {"gamma", 5.0}}), b).detach();
  for (std::int64_t r = 0; r < 3; ++r) {
    const Point p = process.at(static_cast<int>(std::lround(100 * t[static_cast<std::size_t>(r)])));
    const double snr = p.a * p.a / (p.b * p.b);
    const at::Tensor x0 = p.a * b.x[r] - p.b * A.matmul(b.x[r]);
    EXPECT_NEAR(got[r].item<double>() /
                    (std::min(snr, 5.0) * (x0 - b.x0[r]).square().mean().item<double>()),
                1, 1e-9);
  }
}

}  // namespace
}  // namespace scorelab::test
