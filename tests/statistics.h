#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace scorelab::test {

/// sqrt(n) times the largest distance between the empirical and the true distribution function: one
/// sample in 1000 of the law has more than 1.95.
inline double kolmogorov_smirnov(const at::Tensor& draws,
                                 const std::function<double(double)>& cdf) {
  const at::Tensor sorted = std::get<0>(draws.flatten().sort());
  const double* x = sorted.const_data_ptr<double>();
  const auto n = static_cast<double>(sorted.numel());
  double distance = 0;
  for (std::int64_t i = 0; i < sorted.numel(); ++i) {
    const double p = cdf(x[i]), k = static_cast<double>(i);
    distance = std::max({distance, p - k / n, (k + 1) / n - p});
  }
  return std::sqrt(n) * distance;
}

inline double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2)); }

/// Of centred draws.
inline double correlation(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).mean().item<double>() /
         std::sqrt(a.square().mean().item<double>() * b.square().mean().item<double>());
}

}  // namespace scorelab::test
