#pragma once
#include <scorelab/times.h>

/// Dormand & Prince's 5(4) pair: y + h sum_i a[6][i] k_i is the fifth-order solution, whose slope
/// k_6 begins the next step, and h sum_i e[i] k_i is how far the fourth-order one is from it.
namespace scorelab::rk45 {

inline constexpr double c[7] = {0, 1 / 5., 3 / 10., 4 / 5., 8 / 9., 1, 1};
inline constexpr double a[7][6] = {
    {},
    {1 / 5.},
    {3 / 40., 9 / 40.},
    {44 / 45., -56 / 15., 32 / 9.},
    {19372 / 6561., -25360 / 2187., 64448 / 6561., -212 / 729.},
    {9017 / 3168., -355 / 33., 46732 / 5247., 49 / 176., -5103 / 18656.},
    {35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84.}};
inline constexpr double e[7] = {71 / 57600.,      0,         -71 / 16695., 71 / 1920.,
                                -17253 / 339200., 22 / 525., -1 / 40.};

/// The factor from the length of the last step to that of the next. `error`: the last step's error
/// divided by the tolerance; a step whose `error` is at most 1 was accepted.
inline PerRow stretch(const PerRow& error) {
  return min(max(0.9 * pow(max(error, 1e-10), -0.2), 0.2), where(error <= 1, 5, 1));
}

}  // namespace scorelab::rk45
