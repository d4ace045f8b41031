#include <gtest/gtest.h>
#include <scorelab/error.h>

#include "testing.h"

namespace scorelab::test {
namespace {

constexpr Quantity all[] = {Quantity::x0, Quantity::eps, Quantity::score, Quantity::v,
                            Quantity::velocity};

/// What each quantity is, of x0 and eps at one time of `Mixed`, by its definition.
at::Tensor truth(Quantity quantity, const at::Tensor& x0, const at::Tensor& eps, double t) {
  const double alpha = 1 - 0.5 * t, sigma = 0.2 * std::pow(50, t);
  switch (quantity) {
    case Quantity::x0:
      return x0;
    case Quantity::eps:
      return eps;
    case Quantity::score:
      return -eps / sigma;
    case Quantity::v:
      return alpha * eps - sigma * x0;
    case Quantity::velocity:
      return -0.5 * x0 + std::log(50.0) * sigma * eps;
  }
  return {};
}

TEST(Prediction, EveryQuantityFollowsFromEveryStatedOne) {
  const Mixed q;
  for (const double t : {0.1, 0.5, 1.0}) {
    const at::Tensor x0 = numbers({4, 3}), eps = numbers({4, 3}, 2.1),
                     x = (1 - 0.5 * t) * x0 + 0.2 * std::pow(50, t) * eps;
    for (const Quantity stated : all) {
      const Prediction p(q, x, t, stated, truth(stated, x0, eps, t));
      for (const Quantity wanted : all)
        EXPECT_LT(distance(p.as(wanted), truth(wanted, x0, eps, t)), 1e-11 * std::pow(50, t))
            << static_cast<int>(stated) << " -> " << static_cast<int>(wanted);
      EXPECT_LT(distance(p.x0(), x0) + distance(p.eps(), eps) +
                    distance(p.score(), p.as(Quantity::score)),
                1e-10);
      EXPECT_LT(distance(p.v(), truth(Quantity::v, x0, eps, t)) +
                    distance(p.velocity(), truth(Quantity::velocity, x0, eps, t)),
                1e-9);
    }
  }
}

TEST(Prediction, TakesOneTimeForEachRow) {
  const Mixed q;
  const std::vector<double> t{0.1, 0.5, 1.0};
  const at::Tensor x = numbers({3, 2, 2}), value = numbers({3, 2, 2}, 1.2);
  for (const Quantity stated : all)
    for (const Quantity wanted : all) {
      const at::Tensor together = Prediction(q, x, Times(t), stated, value).as(wanted);
      for (std::int64_t r = 0; r < 3; ++r)
        EXPECT_LT(distance(together.narrow(0, r, 1),
                           Prediction(q, x.narrow(0, r, 1), t[static_cast<std::size_t>(r)], stated,
                                      value.narrow(0, r, 1))
                               .as(wanted)),
                  1e-12);
    }
}

TEST(Prediction, TheStatedQuantityComesBackAsItIs) {
  const Mixed q;
  const at::Tensor x = numbers({3, 2}), value = numbers({3, 2}, 1.2);
  for (const Quantity stated : all) {
    const Prediction p(q, x, 0.3, stated, value);
    EXPECT_TRUE(at::equal(p.as(stated), value));
    EXPECT_EQ(p.stated(), stated);
  }
}

TEST(Prediction, ObeysTweedieAndTheScoreNoiseRelation) {
  const Mixed q;
  const double t = 0.4, alpha = 0.8, sigma = 0.2 * std::pow(50, t);
  for (const Quantity stated : all) {
    const Prediction p(q, numbers({3, 2}), t, stated, numbers({3, 2}, 1.2));
    EXPECT_LT(distance(p.x0(), (p.x() + sigma * sigma * p.score()) / alpha), 1e-12);
    EXPECT_LT(distance(p.eps(), -sigma * p.score()), 1e-12);
    EXPECT_LT(distance(alpha * p.x0() + sigma * p.eps(), p.x()), 1e-12);
  }
}

// f x - g^2/2 score: Song et al. 2021, equation 13
TEST(Prediction, VelocityIsTheRightHandSideOfTheProbabilityFlow) {
  const Mixed q;
  const double t = 0.4, sigma = 0.2 * std::pow(50, t), f = -0.5 / 0.8,
               g2 = 2 * sigma * sigma * (std::log(50.0) - f);
  for (const Quantity stated : all) {
    const Prediction p(q, numbers({3, 2}), t, stated, numbers({3, 2}, 1.2));
    EXPECT_LT(distance(p.velocity(), f * p.x() - 0.5 * g2 * p.score()), 1e-12);
  }
}

TEST(Prediction, WithoutNoiseAStatedScoreKeepsTheCleanSample) {
  class Clean final : public Scheduler {
   public:
    Marginal at(Dual) const override { return {1, 0}; }
    double t_min() const override { return 1; }
    double prior_std() const override { return 1; }
    double conditioning(double) const override { return 0; }
  } q;
  const at::Tensor x = numbers({3, 2}), score = numbers({3, 2}, 1.2);
  const Prediction p(q, x, 1.0, Quantity::score, score);
  EXPECT_TRUE(at::equal(p.x0(), x));
  EXPECT_TRUE(at::equal(p.score(), score));
  EXPECT_EQ(p.eps().abs().max().item<double>(), 0);
}

TEST(Prediction, DividesByAlphaOnlyWhereTheCleanSampleIsAskedOfNoise) {  // alpha(1) = 6e-17
  const Cosine q;
  const at::Tensor x0 = numbers({3, 2}), eps = numbers({3, 2}, 1.2);
  for (const Quantity stated : {Quantity::x0, Quantity::v, Quantity::velocity}) {
    const at::Tensor value = stated == Quantity::x0  ? x0
                             : stated == Quantity::v ? -x0
                                                     : -M_PI / 2 * x0;
    const Prediction p(q, eps, 1.0, stated, value);
    EXPECT_LT(distance(p.x0(), x0), 1e-12);
    EXPECT_LT(distance(p.eps(), eps), 1e-12);
    EXPECT_LT(distance(p.velocity(), -M_PI / 2 * x0), 1e-12);
  }
}

TEST(Prediction, WithGivesAnotherAnswerAtTheSamePoint) {
  const Mixed q;
  const Prediction p(q, numbers({3, 2}), 0.4, Quantity::eps, numbers({3, 2}, 1.2));
  const at::Tensor clipped = p.x0().clamp(-0.5, 0.5);
  const Prediction other = p.with(Quantity::x0, clipped);
  EXPECT_TRUE(at::equal(other.x0(), clipped));
  EXPECT_LT(distance(0.8 * clipped + 0.2 * std::pow(50, 0.4) * other.eps(), p.x()), 1e-12);
  EXPECT_EQ(other.stated(), Quantity::x0);
}

TEST(Prediction, RowsThatAreOffAnswerZeroInEveryQuantity) {
  const Mixed q;
  for (const Quantity stated : all) {
    at::Tensor value = numbers({3, 2}, 1.2);
    value[1].fill_(NAN);
    const Prediction p(q, numbers({3, 2}), 0.4, stated, value, PerRow({1, 0, 1}));
    for (const Quantity wanted : all) {
      EXPECT_EQ(p.as(wanted)[1].abs().max().item<double>(), 0);
      EXPECT_GT(p.as(wanted)[2].abs().min().item<double>(), 0);
      EXPECT_EQ(p.with(stated, p.x()).as(wanted)[1].abs().max().item<double>(), 0);
    }
  }
}

TEST(Prediction, HasTheShapeAndTypeOfX) {
  const Mixed q;
  EXPECT_THROW(Prediction(q, numbers({3, 2}), 0.4, Quantity::eps, numbers({3, 1})), Error);
  EXPECT_THROW(Prediction(q, numbers({3, 2}), 0.4, Quantity::eps, numbers({3, 2}).to(at::kFloat)),
               Error);
  EXPECT_EQ(Prediction(q, numbers({3, 2}).to(at::kFloat), 0.4, Quantity::eps,
                       numbers({3, 2}).to(at::kFloat))
                .velocity()
                .scalar_type(),
            at::kFloat);
}

}  // namespace
}  // namespace scorelab::test
