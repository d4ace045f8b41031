#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <scorelab/law.h>

#include "testing.h"

namespace scorelab::test {
namespace {

/// Two components with full covariances, and the covariances themselves.
struct Full {
  Law law;
  std::vector<at::Tensor> covariances;
};
Full turned() {
  Full out{{at::tensor({0.6, 0.4}, at::kDouble),
            at::tensor({1.0, 0.5, -1.2, 0.3}, at::kDouble).view({2, 2}),
            at::tensor({0.3, 0.05, 0.2, 0.6}, at::kDouble).view({2, 2}),
            at::empty({2, 2, 2}, at::kDouble)},
           {}};
  const double angles[] = {0.4, 1.3};
  for (int k = 0; k < 2; ++k) {
    const double c = std::cos(angles[k]), s = std::sin(angles[k]);
    const at::Tensor Q = at::tensor({c, -s, s, c}, at::kDouble).view({2, 2});
    out.law.bases[k].copy_(Q);
    out.covariances.push_back(Q.matmul(at::diag(out.law.variances[k])).matmul(Q.t()));
  }
  return out;
}

const at::Tensor x = numbers({6, 2}) * 2;
at::Tensor column(double v) { return at::full({6}, v, at::kDouble); }

// sum_k w_k N(x; alpha mu_k, alpha^2 S_k + sigma^2 I), written with inverse and determinant
TEST(Law, HasTheDensityOfFullCovariances) {
  const Full f = turned();
  for (const auto& [alpha, sigma] :
       std::vector<std::pair<double, double>>{{1, 0}, {0.6, 0.8}, {1, 3}}) {
    at::Tensor density = at::zeros({6}, at::kDouble);
    for (int k = 0; k < 2; ++k) {
      const at::Tensor S = alpha * alpha * f.covariances[static_cast<std::size_t>(k)] +
                           sigma * sigma * at::eye(2, at::kDouble),
                       d = x - alpha * f.law.means[k];
      density += f.law.weights[k] * (-0.5 * (d.matmul(S.inverse()) * d).sum(1)).exp() /
                 (2 * M_PI * S.det().sqrt());
    }
    EXPECT_LT(distance(f.law.log_density(x, column(alpha), column(sigma)), density.log()), 1e-12);
  }
}

TEST(Law, ItsScoreIsTheGradientOfItsLogDensity) {
  Law one{at::ones({1}, at::kDouble),
          numbers({1, 2}),
          at::tensor({0.3, 2.0}, at::kDouble).view({1, 2}),
          {}},
      axes = turned().law;
  axes.bases.reset();
  for (const Law& law : {one, axes, turned().law})
    for (const auto& [alpha, sigma] :
         std::vector<std::pair<double, double>>{{1, 0}, {0.6, 0.8}, {1, 3}}) {
      const at::Tensor score = law.score(x, column(alpha), column(sigma));
      for (std::int64_t d = 0; d < 2; ++d) {
        const double h = 1e-5;
        at::Tensor step = at::zeros({2}, at::kDouble);
        step[d] = h;
        const at::Tensor slope = (law.log_density(x + step, column(alpha), column(sigma)) -
                                  law.log_density(x - step, column(alpha), column(sigma))) /
                                 (2 * h);
        EXPECT_LT(
            ((score.select(1, d) - slope).abs() / slope.abs().clamp_min(1)).max().item<double>(),
            1e-7);
      }
    }
}

TEST(Law, TakesItsOwnTimeForEachRowAndAnyShape) {
  const Law law = turned().law;
  const at::Tensor alpha = at::linspace(0.2, 1, 6, at::kDouble),
                   sigma = at::linspace(2, 0.1, 6, at::kDouble), score = law.score(x, alpha, sigma);
  for (std::int64_t r = 0; r < 6; ++r)
    EXPECT_TRUE(
        at::equal(law.score(x.narrow(0, r, 1), alpha.narrow(0, r, 1), sigma.narrow(0, r, 1)),
                  score.narrow(0, r, 1)));
  EXPECT_TRUE(at::equal(law.score(x.view({6, 2, 1, 1}), alpha, sigma).view({6, 2}), score));
}

TEST(Law, ItsDensityHasTheSameBitsForALoneRowWithTwoThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const at::Tensor wide = numbers({40, 40000}), one = at::ones({40}, at::kDouble);
  const Law law{at::ones({1}, at::kDouble),
                at::zeros({1, 40000}, at::kDouble),
                at::ones({1, 40000}, at::kDouble),
                {}};
  const at::Tensor together = law.log_density(wide, one, one);
  for (std::int64_t r = 0; r < 40; ++r)
    EXPECT_TRUE(at::equal(
        law.log_density(wide.narrow(0, r, 1), one.narrow(0, r, 1), one.narrow(0, r, 1))[0],
        together[r]))
        << r;
  at::set_num_threads(before);
}

TEST(Law, StaysFiniteFarFromEveryMode) {
  const Law law = turned().law;
  const at::Tensor far = at::full({6, 2}, 1e4, at::kDouble),
                   score = law.score(far, column(1), column(0.1));
  EXPECT_TRUE(score.isfinite().all().item<bool>());
  EXPECT_TRUE(law.log_density(far, column(1), column(0.1)).isfinite().all().item<bool>());
}

}  // namespace
}  // namespace scorelab::test
