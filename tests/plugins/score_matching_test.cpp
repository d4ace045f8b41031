#include <gtest/gtest.h>

#include "objectives_testing.h"

namespace scorelab::test {
namespace {

const at::Tensor A =
    at::tensor({1.3, 0.4, -0.2, 0.1, 0.8, 0.3, 0.5, -0.6, 2.0}, at::kDouble).view({3, 3});
// the data's covariance
const at::Tensor S =
    at::tensor({1.0, 0.3, 0.0, 0.3, 0.5, -0.2, 0.0, -0.2, 2.0}, at::kDouble).view({3, 3});

/// The network's score is -A x: at one level with this noise (0: clean data).
World linear_score(double sigma, double curve = 0, std::vector<std::int64_t> shape = {3}) {
  OutputOptions output;
  output.predict = "score";
  return world(plugin("scheduler", "one-level", {{"sigma", sigma}}),
               std::make_shared<TinyNetwork>(-A, at::zeros({3}, at::kDouble), curve),
               std::move(shape), at::kDouble, output);
}

at::Tensor data(std::int64_t rows) {
  return Noise(3, "data")
      .normal(at::empty({rows, 3}, at::kDouble))
      .matmul(at::linalg_cholesky(S).t());
}

double quadratic() { return 0.5 * A.matmul(S).matmul(A.t()).trace().item<double>(); }

struct Variant {
  const char* law;
  bool reduced;
};
const Variant variants[] = {{"rademacher", false},
                            {"gaussian", false},
                            {"unit-norm", false},
                            {"rademacher", true},
                            {"gaussian", true}};

Json sliced(const Variant& v, int projections = 1) {
  Json params{{"law", v.law}, {"projections", projections}};
  if (v.reduced) params["variance_reduced"] = true;
  return params;
}

TEST(SlicedScoreMatching, IsEquations7And8OfEachSampleByReplayedDirections) {
  const World w = linear_score(0);
  const at::Tensor x = data(6);
  for (const Variant& kind : variants) {
    const at::Tensor got = loss(w, *objective("sliced-score-matching", sliced(kind, 2)),
                                {x, at::zeros_like(x), x, 1.0});
    Noise noise(22, "training");
    at::Tensor expected = at::zeros({6}, at::kDouble);
    for (int m = 0; m < 2; ++m) {
      at::Tensor v = kind.law == std::string("rademacher") ? noise.sign(x) : noise.normal(x);
      if (kind.law == std::string("unit-norm")) v = v / v.norm(2, 1, true);
      const at::Tensor s = -x.matmul(A.t()), vJv = -(v.matmul(A) * v).sum(1);
      expected = expected +
                 0.5 * (vJv + 0.5 * (kind.reduced ? s.square().sum(1) : (v * s).sum(1).square()));
    }
    expect_close(got.detach(), expected);
  }
}

// formulas.md, 6: tr(A S A^T)/2 - tr A; over D for unit norm
TEST(SlicedScoreMatching, HasTheClosedExpectationOnAGaussian) {
  const World w = linear_score(0);
  const at::Tensor x = data(20000);
  for (const Variant& kind : variants) {
    const double expected =
        (quadratic() - A.trace().item<double>()) / (kind.law == std::string("unit-norm") ? 3 : 1);
    expect_mean(
        loss(w, *objective("sliced-score-matching", sliced(kind)), {x, at::zeros_like(x), x, 1.0})
            .detach(),
        expected);
  }
}

// papers.md, O15: over v, at one x; J = sym(-A), M = J + s s^T/2
TEST(SlicedScoreMatching, HasTheVariancesOfItsDirections) {
  const World w = linear_score(0);
  const std::int64_t n = 40000;
  const at::Tensor one = at::tensor({0.4, -0.7, 0.2}, at::kDouble),
                   x = one.expand({n, 3}).contiguous();
  const at::Tensor J = -0.5 * (A + A.t()), s = -A.matmul(one), M = J + 0.5 * at::outer(s, s);
  const auto frobenius = [](const at::Tensor& m) { return m.square().sum().item<double>(); };
  const auto off_diagonal = [&](const at::Tensor& m) {
    return frobenius(m) - m.diagonal().square().sum().item<double>();
  };
  const auto variance = [&](const Variant& kind) {
    return loss(w, *objective("sliced-score-matching", sliced(kind)),
                {x, at::zeros_like(x), x, 1.0})
        .var()
        .item<double>();
  };
  EXPECT_NEAR(variance({"gaussian", true}) / (2 * frobenius(J)), 1, 0.08);
  EXPECT_NEAR(variance({"gaussian", false}) / (2 * frobenius(M)), 1, 0.08);
  EXPECT_NEAR(variance({"rademacher", true}) / (2 * off_diagonal(J)), 1, 0.04);
  EXPECT_NEAR(variance({"rademacher", false}) / (2 * off_diagonal(M)), 1, 0.04);
}

/// A model of one number, the precision: s = -lambda x in so many dimensions, at clean data.
World precision(double lambda, std::int64_t d) {
  OutputOptions output;
  output.predict = "score";
  return world(
      plugin("scheduler", "one-level", {{"sigma", 0.0}}),
      std::make_shared<TinyNetwork>(-lambda * at::eye(d, at::kDouble), at::zeros({d}, at::kDouble)),
      {d}, at::kDouble, output);
}

/// The losses of N(0, s^2 I_d): each sample's own.
at::Tensor losses(const World& w, const Json& params, const at::Tensor& x, std::uint64_t seed = 22,
                  const char* name = "sliced-score-matching") {
  return loss(w, *objective(name, params), {x, at::zeros_like(x), x, 1.0}, seed).detach();
}

/// papers.md, O15 and O16: at the optimum J = -I/s^2, M = J + x x^T/(2 s^4). Two sets of directions
/// give an unbiased variance of each sample. Five standard errors: a false alarm in 10^6.
TEST(SlicedScoreMatching, HasTheVariancesOfTheGaussianOptimum) {
  const double s = 0.7, s4 = std::pow(s, 4);
  for (const int d : {1, 2, 6}) {
    const World w = precision(1 / (s * s), d);
    const at::Tensor x = s * Noise(4, "data").normal(at::empty({200000, d}, at::kDouble));
    const auto variance = [&](const Variant& kind) {
      return 0.5 * (losses(w, sliced(kind), x, 22) - losses(w, sliced(kind), x, 23)).square();
    };
    const at::Tensor gauss = variance({"gaussian", false}), reduced = variance({"gaussian", true});
    expect_mean(gauss, d * (d + 2) / (2 * s4), 5);
    expect_mean(reduced, 2 * d / s4, 5);
    // below 0 at d = 1: there the reduction hurts
    expect_mean(gauss - reduced, d * (d - 2) / (2 * s4), 5);
    if (d > 1) expect_mean(variance({"rademacher", false}), d * (d - 1) / (2 * s4), 5);
    expect_close(losses(w, sliced({"rademacher", true}), x),
                 losses(w, Json::object(), x, 22, "exact-score-matching"));
  }
}

/// papers.md, O17: data N(0, I_d). A sample's loss is c lambda^2/2 - b lambda, so that those at
/// lambda = 1 and 2 give the fit, b/c over means, and N Var is the sandwich Var(b - c)/E(c)^2,
/// whose error is a fifth of that of the fits' variance. False alarms as above.
TEST(SlicedScoreMatching, FitsAPrecisionWithTheKnownVariance) {
  const std::int64_t d = 10, N = 400, fits = 250, chunks = 4;
  const World one = precision(1, d), two = precision(2, d);
  const auto check = [&](const char* name, const Json& params, double expected) {
    std::vector<at::Tensor> slopes, curvatures, fitted;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const at::Tensor x = Noise(static_cast<std::uint64_t>(chunk), "data")
                               .normal(at::empty({N * fits, d}, at::kDouble));
      const auto seed = static_cast<std::uint64_t>(100 + chunk);
      const at::Tensor at_one = losses(one, params, x, seed, name),
                       at_two = losses(two, params, x, seed, name);
      const at::Tensor c = at_two - 2 * at_one, b = 0.5 * c - at_one;
      slopes.push_back(b - c);
      curvatures.push_back(c);
      fitted.push_back(b.view({fits, N}).mean(1) / c.view({fits, N}).mean(1));
    }
    const at::Tensor g = at::cat(slopes), lambda = at::cat(fitted);
    expect_mean(at::cat(curvatures), d, 5);
    expect_mean((g / d).square(), expected, 5);
    // Of the next order in 1/N: 8/N of the variance, Var/N of the mean.
    const auto n = static_cast<double>(N), count = static_cast<double>(lambda.numel());
    EXPECT_NEAR(n * lambda.var().item<double>() / expected, 1, 5 * std::sqrt(2 / count) + 8 / n)
        << name << params;
    EXPECT_NEAR(lambda.mean().item<double>(), 1, 5 * std::sqrt(expected / n / count) + expected / n)
        << name << params;
  };
  check("exact-score-matching", Json::object(), 2.0 / d);
  check("sliced-score-matching", sliced({"rademacher", true}), 2.0 / d);
  for (const int M : {1, 4})
    check("sliced-score-matching", sliced({"rademacher", false}, M), 2.0 / d * (1 + (d - 1.0) / M));
}

TEST(SlicedScoreMatching, HasTheGradientsOfItsFiniteDifferences) {
  const World w = linear_score(0.2, 0.3);
  for (const Variant& kind : variants)
    expect_gradients(w, *objective("sliced-score-matching", sliced(kind, 2)),
                     batch(w, data(5), 1.0));
}

TEST(SlicedScoreMatching, WeighsALevelBySigma2) {
  const World w = linear_score(0.3, 0.2);
  const TrainBatch b = batch(w, data(5), 1.0);
  Json params = sliced(variants[0]);
  const at::Tensor unit = loss(w, *objective("sliced-score-matching", params), b).detach();
  params["weight"] = "sigma2";
  expect_close(loss(w, *objective("sliced-score-matching", params), b).detach(), 0.09 * unit);
}

TEST(SlicedScoreMatching, SumsOverAllDimensionsOfAnImage) {
  const World flat = linear_score(0.1, 0.2), image = linear_score(0.1, 0.2, {1, 3, 1});
  for (const Variant& kind : variants) {
    const auto of = objective("sliced-score-matching", sliced(kind));
    const at::Tensor x = data(4);
    const at::Tensor a = loss(flat, *of, batch(flat, x, 1.0)).detach(),
                     b = loss(image, *of, batch(image, x.view({4, 1, 3, 1}), 1.0)).detach();
    EXPECT_EQ(b.sizes(), at::IntArrayRef({4}));
    expect_close(b, a);
  }
}

// lambda/2 |s + eps/sigma|^2
TEST(DenoisingScoreMatching, IsHalfTheWeightedErrorSummedOverTheDimensions) {
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{3}, {3, 1, 1}}) {
    OutputOptions output;
    output.predict = "score";
    const auto network = std::make_shared<TinyNetwork>(-A, at::zeros({3}, at::kDouble));
    const World w = world(plugin("scheduler", "vp"), network, shape, at::kDouble, output);
    std::vector<std::int64_t> sizes{4};
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    const std::vector<double> t{0.01, 0.3, 0.7, 1.0};
    const TrainBatch b = batch(w, data(4).view(sizes), Times(t));
    for (const char* weight : {"sigma2", "unit", "likelihood"}) {
      const at::Tensor got =
          loss(w, *objective("denoising-score-matching", {{"weight", weight}}), b).detach();
      for (std::size_t r = 0; r < 4; ++r) {
        const double a = std::exp(-0.25 * t[r] * t[r] * 19.9 - 0.05 * t[r]), variance = 1 - a * a,
                     beta = 0.1 + 19.9 * t[r];
        const double lambda = weight == std::string("sigma2") ? variance
                              : weight == std::string("unit") ? 1
                                                              : beta;
        const auto i = static_cast<std::int64_t>(r);
        const at::Tensor error =
            -A.matmul(b.x[i].flatten()) + b.eps[i].flatten() / std::sqrt(variance);
        EXPECT_NEAR(got[i].item<double>() / (0.5 * lambda * error.square().sum().item<double>()), 1,
                    1e-10)
            << weight << " " << t[r];
      }
    }
  }
}

TEST(DenoisingScoreMatching, HasTheGradientsOfItsFiniteDifferences) {
  OutputOptions output;
  output.predict = "score";
  const auto network = std::make_shared<TinyNetwork>(-A, at::zeros({3}, at::kDouble), 0.3);
  const World w = world(plugin("scheduler", "vp"), network, {3}, at::kDouble, output);
  const TrainBatch b = batch(w, data(4), Times({0.05, 0.3, 0.7, 1.0}));
  for (const char* weight : {"sigma2", "unit", "likelihood"})
    expect_gradients(w, *objective("denoising-score-matching", {{"weight", weight}}), b);
}

TEST(DenoisingScoreMatching, DiffersFromExplicitScoreMatchingOfTheNoisyLawByAConstant) {
  // Vincent 2011: at noise sigma the two have the same gradient; on a Gaussian, E DSM(A) = tr(A V
  // A^T)/2 - tr A + D/(2 sigma^2), V = S + sigma^2.
  const double sigma = 0.7;
  const World w = linear_score(sigma);
  const at::Tensor V = S + sigma * sigma * at::eye(3, at::kDouble);
  const double expected = 0.5 * A.matmul(V).matmul(A.t()).trace().item<double>() -
                          A.trace().item<double>() + 3 / (2 * sigma * sigma);
  expect_mean(loss(w, *objective("denoising-score-matching", {{"weight", "unit"}}),
                   batch(w, data(20000), 1.0))
                  .detach(),
              expected);
}

// the minimiser of the expectation: -(S + sigma^2)^-1 x
TEST(DenoisingScoreMatching, IsSmallestAtTheExactScore) {
  const double sigma = 0.7;
  const at::Tensor V = S + sigma * sigma * at::eye(3, at::kDouble);
  OutputOptions output;
  output.predict = "score";
  const auto network = std::make_shared<TinyNetwork>(-V.inverse(), at::zeros({3}, at::kDouble));
  const World w = world(plugin("scheduler", "one-level", {{"sigma", sigma}}), network, {3},
                        at::kDouble, output);
  const std::int64_t n = 40000;
  const TrainBatch b = batch(w, data(n), 1.0);
  loss(w, *objective("denoising-score-matching"), b).mean().backward();
  // sigma^2 (s + eps/sigma); its product with x has mean 0
  const at::Tensor error = sigma * (-b.x.matmul(V.inverse()) * sigma + b.eps);
  const at::Tensor products = error.unsqueeze(2) * b.x.unsqueeze(1),
                   bound = 4 * products.std(0) / std::sqrt(static_cast<double>(n));
  EXPECT_TRUE((network->parameters()[0].second.grad().abs() <= bound).all().item<bool>());
}

}  // namespace
}  // namespace scorelab::test
