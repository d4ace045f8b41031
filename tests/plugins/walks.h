#pragma once
#include <limits>
#include <string>
#include <vector>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {

/// A process and the points of a uniform grid of so many steps over it, from noise to data.
struct Walk {
  std::string name;
  Json scheduler;
  std::vector<Point> points;
};

/// Uniform times to `low` in `steps` steps; `clean`: to `low` in one step fewer, and to the clean
/// end.
template <class F>
std::vector<Point> points_of(F&& point, double high, double low, int steps, bool clean) {
  std::vector<Point> out;
  for (const double t : uniform_times(high, low, clean ? steps - 1 : steps))
    out.push_back(point(t));
  if (clean) out.push_back({1, 0});
  return out;
}

/// Variance preserving, exploding, below it, EDM's and discrete processes; all have alpha above 0.
/// `steps` divides 40.
inline std::vector<Walk> walks(int steps, bool clean = true) {
  const auto sub_vp = [](double t) { return Point{vp(t).a, 1 - vp(t).a * vp(t).a}; };
  const auto edm = [](double t) { return Point{1, t}; };
  std::vector<Walk> out{
      {"vp", plugin("scheduler", "vp"), points_of(vp, 1, 1e-3, steps, clean)},
      {"ve", plugin("scheduler", "ve"), points_of(ve, 1, 1e-5, steps, clean)},
      {"sub-vp", plugin("scheduler", "sub-vp"), points_of(sub_vp, 1, 1e-3, steps, clean)},
      {"edm", plugin("scheduler", "edm"), points_of(edm, 80, 0.002, steps, clean)}};
  if (clean) {
    const Ddpm process(40, 1e-3, 0.2);
    Walk ddpm{
        "ddpm",
        plugin("scheduler", "ddpm-linear", {{"T", 40}, {"beta_start", 1e-3}, {"beta_end", 0.2}}),
        {}};
    for (int i = 40; i >= 0; i -= 40 / steps) ddpm.points.push_back(process.at(i));
    out.push_back(std::move(ddpm));
  }
  return out;
}

/// Flow matching's straight path from t = 1, where alpha is 0.
inline Walk flow_walk(int steps, bool clean = true) {
  return {"flow", plugin("scheduler", "flow"),
          points_of(
              [](double t) {
                return Point{1 - t, t};
              },
              1, 1e-3, steps, clean)};
}

/// log(alpha/sigma)
inline double lambda_of(Point p) {
  if (p.b == 0) return std::numeric_limits<double>::infinity();
  return std::log(p.a / p.b);
}

/// f(coordinate, x, z) of every element of [B, D], z(n) being its n-th draw of the stream.
template <class F>
at::Tensor solved(const std::vector<Coordinate>& data, const at::Tensor& x, Noise noise, int draws,
                  F&& f) {
  std::vector<at::Tensor> z;
  for (int n = 0; n < draws; ++n) z.push_back(noise.normal(x));
  at::Tensor out = at::empty_like(x);
  const auto from = x.accessor<double, 2>();
  auto to = out.accessor<double, 2>();
  for (std::int64_t r = 0; r < x.size(0); ++r)
    for (std::int64_t d = 0; d < x.size(1); ++d)
      to[r][d] = f(data[static_cast<std::size_t>(d)], from[r][d],
                   [&](std::size_t n) { return z.at(n).template accessor<double, 2>()[r][d]; });
  return out;
}

/// The integral of g over [a, b] by Gauss and Legendre's five points in each of `parts` equal
/// parts.
template <class F>
double integral(double a, double b, F&& g, int parts = 1) {
  static constexpr double at[] = {0, 0.5384693101056830910363144207,
                                  0.9061798459386639927976268782};
  static constexpr double weight[] = {0.5688888888888888888888888889,
                                      0.4786286704993664680412915148,
                                      0.2369268850561890875142640407};
  double sum = 0;
  const double half = (b - a) / (2 * parts);
  for (int p = 0; p < parts; ++p) {
    const double middle = a + (2 * p + 1) * half;
    sum += half * weight[0] * g(middle);
    for (int i = 1; i < 3; ++i)
      sum += half * weight[i] * (g(middle - half * at[i]) + g(middle + half * at[i]));
  }
  return sum;
}

/// The value at u of the polynomial through (node[k], value[k]).
inline double lagrange(const std::vector<double>& node, const std::vector<double>& value,
                       double u) {
  double sum = 0;
  for (std::size_t j = 0; j < node.size(); ++j) {
    double product = value[j];
    for (std::size_t k = 0; k < node.size(); ++k)
      if (k != j) product *= (u - node[k]) / (node[j] - node[k]);
    sum += product;
  }
  return sum;
}

/// dx/dlambda's solution where x0 is a polynomial in lambda: x/sigma grows by the integral of
/// exp(lambda) x0.
inline double through(Point from, Point to, double x, const std::vector<double>& lambda,
                      const std::vector<double>& x0) {
  const double a = lambda_of(from), b = lambda_of(to);
  return to.b / from.b * x +
         to.a * integral(
                    a, b, [&](double u) { return std::exp(u - b) * lagrange(lambda, x0, u); }, 40);
}

}  // namespace scorelab::test
