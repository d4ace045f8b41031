#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <cstddef>
#include <vector>

/// The papers' formulas in plain doubles, written without the code under test.
namespace scorelab::test {

/// x_t = a x_0 + b eps.
struct Point {
  double a, b;
};

/// Song et al. 2021, equation 33: beta from 0.1 to 20.
inline double vp_beta(double t) { return 0.1 + 19.9 * t; }
inline Point vp(double t) {
  const double a = std::exp(-0.25 * t * t * 19.9 - 0.5 * t * 0.1);
  return {a, std::sqrt(1 - a * a)};
}

/// Song et al. 2021, equation 31: sigma from 0.01 to 50.
inline Point ve(double t) { return {1, 0.01 * std::pow(5000.0, t)}; }

/// Ho et al. 2020: beta[i] and abar[i] for i = 1 .. T, abar[0] = 1.
struct Ddpm {
  explicit Ddpm(int T, double first = 1e-4, double last = 0.02) : beta(T + 1), abar(T + 1, 1) {
    for (int i = 1; i <= T; ++i) {
      beta[i] = first + (last - first) * (i - 1) / (T - 1);
      abar[i] = abar[i - 1] * (1 - beta[i]);
    }
  }
  Point at(int i) const { return {std::sqrt(abar[i]), std::sqrt(1 - abar[i])}; }
  std::vector<double> beta, abar;
};

/// S + 1 times from `high` to `low`, equally far apart.
inline std::vector<double> uniform_times(double high, double low, int steps) {
  std::vector<double> out;
  for (int k = 0; k <= steps; ++k) out.push_back(high + (low - high) * k / steps);
  return out;
}

/// Data N(m, c^2) in each dimension, seen at a point of the process (papers.md, O1).
struct Coordinate {
  double m, c;
  double variance(Point p) const { return p.a * p.a * c * c + p.b * p.b; }
  /// score = -(x - a m)/v
  double score(Point p, double x) const { return -(x - p.a * m) / variance(p); }
  double x0(Point p, double x) const { return m + p.a * c * c / variance(p) * (x - p.a * m); }
  double eps(Point p, double x) const { return p.b * (x - p.a * m) / variance(p); }
};

/// f(coordinate, x, z) of every element of [B, D] tensors.
template <class F>
at::Tensor each(const std::vector<Coordinate>& data, const at::Tensor& x, const at::Tensor& z,
                F&& f) {
  at::Tensor out = at::empty_like(x);
  const auto from = x.accessor<double, 2>(), noise = z.accessor<double, 2>();
  auto to = out.accessor<double, 2>();
  for (std::int64_t r = 0; r < x.size(0); ++r)
    for (std::int64_t d = 0; d < x.size(1); ++d)
      to[r][d] = f(data[static_cast<std::size_t>(d)], from[r][d], noise[r][d]);
  return out;
}

/// The slope of log error against log steps between two measurements.
inline double order(double coarse_error, double fine_error, double steps_ratio = 2) {
  return std::log(coarse_error / fine_error) / std::log(steps_ratio);
}

}  // namespace scorelab::test
