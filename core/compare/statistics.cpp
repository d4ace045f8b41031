#include "compare/statistics.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>

namespace scorelab::compare {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

bool has_nan(const std::vector<double>& x) {
  return std::any_of(x.begin(), x.end(), [](double v) { return std::isnan(v); });
}

}  // namespace

double mean(const std::vector<double>& x) {
  return x.empty() ? nan : std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double median(std::vector<double> x) {
  if (x.empty() || has_nan(x)) return nan;
  std::sort(x.begin(), x.end());
  const std::size_t half = x.size() / 2;
  return x.size() % 2 ? x[half] : (x[half - 1] + x[half]) / 2;
}

Interval interval(const std::vector<double>& x) {
  if (x.size() < 2 || has_nan(x)) return {nan, nan};
  const auto n = static_cast<double>(x.size());
  const double m = mean(x);
  double squares = 0;
  for (const double v : x) squares += (v - m) * (v - m);
  const double half = boost::math::quantile(boost::math::students_t(n - 1), 0.975) *
                      std::sqrt(squares / (n - 1) / n);
  return {m - half, m + half};
}

SignFlip sign_flip(const std::vector<double>& d) {
  if (d.empty() || has_nan(d)) return {nan, true};
  const double observed = std::abs(std::accumulate(d.begin(), d.end(), 0.0));
  double size = 0;
  for (const double v : d) size += std::abs(v);
  const double bound = observed - 1e-12 * size;  // patterns that differ by rounding alone are equal
  const bool exact = d.size() <= 20;
  const std::uint64_t patterns = exact ? std::uint64_t{1} << d.size() : 200000;
  std::mt19937_64 random(1);
  std::uint64_t far = 0;
  for (std::uint64_t k = 0; k < patterns; ++k) {
    double sum = 0;
    std::uint64_t bits = k;
    for (std::size_t i = 0; i < d.size(); ++i) {
      if (!exact && i % 64 == 0) bits = random();
      sum += bits & 1 ? d[i] : -d[i];
      bits >>= 1;
    }
    far += std::abs(sum) >= bound;
  }
  // the observed pattern is one of them
  if (!exact) return {static_cast<double>(far + 1) / static_cast<double>(patterns + 1), false};
  return {static_cast<double>(far) / static_cast<double>(patterns), true};
}

double log_slope(const std::vector<double>& x, const std::vector<double>& y) {
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  const auto n = static_cast<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double a = std::log(x[i]), b = std::log(y[i]);
    sx += a;
    sy += b;
    sxx += a * a;
    sxy += a * b;
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

}  // namespace scorelab::compare
