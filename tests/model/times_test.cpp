#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <scorelab/error.h>

#include "testing.h"

namespace scorelab::test {
namespace {

std::vector<double> values(const PerRow& p) {
  std::vector<double> out;
  for (std::size_t r = 0; r < p.rows(); ++r) out.push_back(p[r]);
  return out;
}

TEST(PerRow, SharedValuesMeetAnyNumberOfRows) {
  const PerRow a({1, 2, 3}), two = 2;
  EXPECT_EQ(values(a + two), (std::vector<double>{3, 4, 5}));
  EXPECT_EQ(values(two - a), (std::vector<double>{1, 0, -1}));
  EXPECT_EQ(values(a * a), (std::vector<double>{1, 4, 9}));
  EXPECT_EQ(values(6.0 / a), (std::vector<double>{6, 3, 2}));
  EXPECT_EQ(values(-a), (std::vector<double>{-1, -2, -3}));
  EXPECT_EQ((two * two).one(), 4);
  EXPECT_TRUE((two * two).shared());
  EXPECT_THROW(a + PerRow({1, 2}), Error);
  EXPECT_THROW(a.one(), Error);
  EXPECT_THROW(PerRow(std::vector<double>{}), Error);
}

TEST(PerRow, ComparisonsGiveOneOrZero) {
  const PerRow a({1, 2, 3});
  EXPECT_EQ(values(a > 2), (std::vector<double>{0, 0, 1}));
  EXPECT_EQ(values(a >= 2), (std::vector<double>{0, 1, 1}));
  EXPECT_EQ(values(a < 2), (std::vector<double>{1, 0, 0}));
  EXPECT_EQ(values(a <= 2), (std::vector<double>{1, 1, 0}));
  EXPECT_EQ(values(a > NAN), (std::vector<double>{0, 0, 0}));
  EXPECT_TRUE((a > 2).any());
  EXPECT_FALSE((a > 3).any());
}

TEST(PerRow, FunctionsActOnEveryRow) {
  const PerRow a({0.5, 2});
  EXPECT_EQ(values(exp(a)), (std::vector<double>{std::exp(0.5), std::exp(2)}));
  EXPECT_EQ(values(log(a)), (std::vector<double>{std::log(0.5), std::log(2)}));
  EXPECT_EQ(values(expm1(a)), (std::vector<double>{std::expm1(0.5), std::expm1(2)}));
  EXPECT_EQ(values(sqrt(a)), (std::vector<double>{std::sqrt(0.5), std::sqrt(2)}));
  EXPECT_EQ(values(square(a)), (std::vector<double>{0.25, 4}));
  EXPECT_EQ(values(pow(a, -0.2)), (std::vector<double>{std::pow(0.5, -0.2), std::pow(2, -0.2)}));
  EXPECT_EQ(values(min(a, 1)), (std::vector<double>{0.5, 1}));
  EXPECT_EQ(values(max(a, 1)), (std::vector<double>{1, 2}));
  EXPECT_EQ(a.max_value(), 2);
}

TEST(PerRow, LerpEndsExactly) {
  const PerRow a({0.1, 0.7}), b({0.3, 1e-3});
  EXPECT_EQ(values(lerp(a, b, 1)), values(b));
  EXPECT_EQ(values(lerp(a, b, 0)), values(a));
  EXPECT_NEAR(lerp(a, b, 0.25)[0], 0.15, 1e-15);
}

TEST(PerRow, WhereChoosesByRow) {
  EXPECT_EQ(values(where(PerRow({1, 0, 1}), PerRow({1, 2, 3}), -1)),
            (std::vector<double>{1, -1, 3}));
  const at::Tensor a = numbers({3, 2}), b = numbers({3, 2}, 1.0);
  EXPECT_TRUE(at::equal(where(PerRow({1, 0, 1}), a, b), at::stack({a[0], b[1], a[2]})));
  EXPECT_TRUE(at::equal(where(PerRow(0), a, b), b));
}

TEST(PerRow, WhereLetsNothingOfTheOtherBranchThrough) {  // infinities and NaN are why it is used
  EXPECT_EQ(values(where(PerRow({1, 0}), PerRow({1, INFINITY}), PerRow({NAN, 2}))),
            (std::vector<double>{1, 2}));
  EXPECT_EQ(values(where(PerRow({1, 0}), INFINITY, 2)), (std::vector<double>{INFINITY, 2}));
  EXPECT_TRUE(std::isnan(where(PerRow({1, 0}), NAN, 2)[0]));
  const at::Tensor nan = at::full({2, 2}, NAN, at::kDouble), one = at::ones({2, 2}, at::kDouble);
  EXPECT_TRUE(at::equal(where(PerRow({0, 0}), nan, one), one));
}

TEST(PerRow, MultipliesTheRowsOfATensor) {
  const at::Tensor x = numbers({3, 2, 2});
  const PerRow a({2, 0, -1});
  EXPECT_TRUE(at::equal(a * x, at::stack({2 * x[0], 0 * x[1], -x[2]})));
  EXPECT_TRUE(at::equal(x * a, a * x));
  EXPECT_TRUE(at::equal(x / PerRow({3, 7, 9}), PerRow({1 / 3.0, 1 / 7.0, 1 / 9.0}) * x));
  EXPECT_TRUE(at::equal(PerRow(3) * x, 3 * x));
  EXPECT_ANY_THROW(PerRow({1, 2}) * x);
}

TEST(PerRow, GoesToATensorAndBack) {
  const PerRow a({2, 0, -1});
  EXPECT_EQ(values(PerRow::from(a.column(numbers({3, 2, 2})))), values(a));
  EXPECT_EQ(a.column(numbers({3, 2, 2})).sizes(), at::IntArrayRef({3, 1, 1}));
  EXPECT_TRUE(at::equal(PerRow(5).vector(3, at::kDouble), at::full({3}, 5, at::kDouble)));
  EXPECT_ANY_THROW(a.vector(2, at::kDouble));
}

TEST(RowDot, IsTheInnerProductOverAllDimensions) {
  const at::Tensor a = numbers({3, 2, 2}), b = numbers({3, 2, 2}, 1.0);
  for (std::int64_t r = 0; r < 3; ++r) {
    double sum = 0;
    for (std::int64_t i = 0; i < 4; ++i)
      sum += a[r].flatten()[i].item<double>() * b[r].flatten()[i].item<double>();
    EXPECT_NEAR(row_dot(a, b)[r].item<double>(), sum, 1e-15);
  }
}

TEST(RowDot, HasTheSameBitsForALoneRowWithTwoThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const at::Tensor a = numbers({40, 40000}), together = row_dot(a, a);
  int plain = 0;
  for (std::int64_t r = 0; r < 40; ++r) {
    const at::Tensor alone = a.narrow(0, r, 1);
    EXPECT_TRUE(at::equal(row_dot(alone, alone)[0], together[r])) << r;
    plain += at::equal((alone * alone).sum(1)[0], together[r]);
  }
  EXPECT_LT(plain, 40)
      << "a plain sum would do: this machine does not split rows, so nothing was shown";
  at::set_num_threads(before);
}

/// The derivative that a Dual carries, against central differences.
void expect_slope(const std::function<Dual(Dual)>& f, double t) {
  const double h = 1e-6, slope = (f(t + h).value - f(t - h).value) / (2 * h);
  EXPECT_NEAR(f({t, 1}).slope, slope, 1e-8 * std::max(1.0, std::abs(slope)));
  EXPECT_EQ(f(t).slope, 0) << "a constant has slope 0";
}

TEST(Dual, CarriesExactDerivatives) {
  for (const double t : {0.3, 0.9}) {
    expect_slope([](Dual t) { return exp(t * t); }, t);
    expect_slope([](Dual t) { return expm1(-t) / (t + 2.0); }, t);
    expect_slope([](Dual t) { return log(3.0 * t) - sqrt(t); }, t);
    expect_slope([](Dual t) { return sin(t) * cos(2 * t); }, t);
    expect_slope([](Dual t) { return -pow(t, 2.5) + 1.0 / t; }, t);
    EXPECT_DOUBLE_EQ(exp(Dual{t, 1}).slope, std::exp(t));
    EXPECT_DOUBLE_EQ(sin(Dual{t, 1}).slope, std::cos(t));
    EXPECT_DOUBLE_EQ(pow(Dual{t, 1}, 3).slope, 3 * t * t);
  }
}

// sigma = sqrt(1 - exp(-t)): sigma' = exp(-t)/(2 sigma)
TEST(Dual, KeepsTheSlopeOfSigmaNearItsZero) {
  const double t = 1e-12;
  const Dual sigma = sqrt(-expm1(-Dual{t, 1}));
  EXPECT_NEAR(sigma.value / std::sqrt(t), 1, 1e-11);
  EXPECT_NEAR(sigma.slope * 2 * std::sqrt(t), 1, 1e-11);
}

}  // namespace
}  // namespace scorelab::test
