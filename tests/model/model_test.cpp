#include <gtest/gtest.h>
#include <scorelab/error.h>

#include <atomic>

#include "testing.h"

namespace scorelab::test {
namespace {

/// The score -x^3 (1 + t): a derivative that depends on x.
Fixture cubic() {
  return {std::make_shared<Mixed>(), std::make_shared<Told>(
                                         [](const Input& in) {
                                           return -in.x.pow(3) * (1 + in.time.view({-1, 1}));
                                         },
                                         Quantity::score)};
}

TEST(Model, CountsTheEvaluationsOfEachActiveRow) {
  const Fixture f = cubic();
  Model model = f.model();
  f.context->counts.reset(3);
  const at::Tensor x = numbers({3, 2});
  model(x, 0.5);
  model.rows(PerRow({1, 0, 1}))(x, 0.5);
  model.rows(PerRow({1, 0, 1})).rows(PerRow({0, 1, 1}))(x, Times({0.3, 0.4, 0.5}));
  model.vjp(x, 0.5, x, Quantity::score);
  model.jvp(x, 0.5, x, Quantity::score);
  EXPECT_EQ(f.context->counts.evaluations, (std::vector<std::int64_t>{4, 3, 5}));
  EXPECT_EQ(f.context->counts.vjps, (std::vector<std::int64_t>{1, 1, 1}));
  EXPECT_EQ(f.context->counts.jvps, (std::vector<std::int64_t>{1, 1, 1}));
}

TEST(Model, CutsIntoChunksOfOneSizeAndPadsTheLast) {
  const Fixture f = cubic();
  const at::Tensor x = numbers({7, 2}), whole = f.model()(x, 0.5).score();
  f.network->batches.clear();
  f.context->chunk = 3;
  EXPECT_TRUE(at::equal(f.model()(x, 0.5).score(), whole));
  EXPECT_EQ(f.network->batches, (std::vector<std::int64_t>{3, 3, 3}));
  const std::vector<double> t{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7};
  const at::Tensor chunked = f.model()(x, Times(t)).score();
  f.context->chunk = 0;
  EXPECT_TRUE(at::equal(chunked, f.model()(x, Times(t)).score()));
}

TEST(Model, SkipsChunksWithoutAnActiveRow) {
  const Fixture f = cubic();
  f.context->chunk = 2;
  const at::Tensor x = numbers({6, 2});
  const at::Tensor score = f.model().rows(PerRow({1, 0, 0, 0, 0, 1}))(x, 0.5).score();
  EXPECT_EQ(f.network->batches, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(score.narrow(0, 1, 4).abs().max().item<double>(), 0);
  EXPECT_LT(distance(score[5], -1.5 * x[5].pow(3)), 1e-15);
}

TEST(Model, RefusesTimeZeroButNotOfRowsThatAreOff) {
  const Fixture f = cubic();
  const at::Tensor x = numbers({2, 2});
  EXPECT_THROW(f.model()(x, 0.0), Error);
  EXPECT_THROW(f.model()(x, Times({0.0, 0.5})), Error);
  EXPECT_EQ(
      f.model().rows(PerRow({0, 1}))(x, Times({0.0, 0.5})).score()[0].abs().max().item<double>(),
      0);
  EXPECT_THROW(f.model()(x, 0.05), Error);  // before t_min
}

TEST(Model, StopsWhenAskedAndAtItsBound) {
  const Fixture f = cubic();
  const at::Tensor x = numbers({2, 2});
  std::atomic<bool> stop = false;
  f.context->stop = &stop;
  f.model()(x, 0.5);
  stop = true;
  EXPECT_THROW(f.model()(x, 0.5), Stopped);
  stop = false;
  f.context->counts.reset(2);
  f.context->max_nfe = 3;
  for (int i = 0; i < 3; ++i) f.model()(x, 0.5);
  EXPECT_THROW(f.model()(x, 0.5), Error);
}

TEST(Model, RefusesOtherShapesAndTypesOfANetwork) {
  const auto answering = [](at::Tensor y) {
    return Fixture(std::make_shared<Mixed>(),
                   std::make_shared<Told>([y](const Input&) { return y; }));
  };
  EXPECT_THROW(answering(numbers({2, 3})).model()(numbers({2, 2}), 0.5), Error);
  EXPECT_THROW(answering(numbers({2, 2}).to(at::kFloat)).model()(numbers({2, 2}), 0.5), Error);
}

TEST(Model, VjpAndJvpAreTheDerivativesOfEveryQuantity) {
  const Fixture f = cubic();
  const double t = 0.5, alpha = 0.75, sigma2 = 0.04 * 50;
  // diagonal
  const at::Tensor x = numbers({3, 2}), v = numbers({3, 2}, 1.1), slope = -3 * x.square() * 1.5;
  const std::vector<std::pair<Quantity, at::Tensor>> cases{
      {Quantity::score, slope},
      {Quantity::eps, -std::sqrt(sigma2) * slope},
      {Quantity::x0, (1 + sigma2 * slope) / alpha}};
  for (const bool grad : {false, true}) {
    const c10::AutoGradMode mode(grad);
    for (const auto& [of, diagonal] : cases) {
      const Vjp vjp = f.model().vjp(x, t, v, of);
      EXPECT_LT(distance(vjp.product, v * diagonal), 1e-12);
      EXPECT_LT(distance(f.model().jvp(x, t, v, of), v * diagonal), 1e-12);
      EXPECT_LT(distance(vjp.prediction.score(), -x.pow(3) * 1.5), 1e-12);
      EXPECT_EQ(vjp.product.requires_grad(), grad);
    }
  }
}

}  // namespace
}  // namespace scorelab::test
