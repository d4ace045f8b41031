#pragma once
#include <cstddef>
#include <vector>

/// What a comparison says of a few numbers, one a seed.
namespace scorelab::compare {

struct Interval {
  double low, high;
};

/// NaN where any is NaN, or there are none.
double mean(const std::vector<double>& x);
double median(std::vector<double> x);
/// 95 % for the mean: Student's t with n - 1 degrees of freedom. NaN for fewer than two.
Interval interval(const std::vector<double>& x);

struct SignFlip {
  double p;    ///< two-sided: the share of sign patterns whose sum is at least as far from 0
  bool exact;  ///< all 2^n patterns; beyond 20 differences, 200 000 fixed random ones
};
/// The paired test of no difference. Its smallest possible p is 2/2^n.
SignFlip sign_flip(const std::vector<double>& differences);

/// The slope of log y against log x by least squares.
double log_slope(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace scorelab::compare
