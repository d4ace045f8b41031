#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

namespace scorelab::test {

/// The second derivative of `f`'s scalar product with v at v, along u, is what differences of its
/// first say. `h`: their step, small where derivatives have kinks.
template <class F>
void expect_second_derivative(const F& f, const at::Tensor& v, const at::Tensor& u,
                              double h = 1e-4) {
  const auto gradient = [&](const at::Tensor& x, bool again) {
    return torch::autograd::grad({(f(x) * v).sum()}, {x}, {}, again, again)[0];
  };
  const auto at_offset = [&](double by) { return (v + by * u).detach().requires_grad_(true); };
  const at::Tensor x = at_offset(0);
  const at::Tensor second = torch::autograd::grad({(gradient(x, true) * u).sum()}, {x})[0];
  const at::Tensor measured =
      (gradient(at_offset(h), false) - gradient(at_offset(-h), false)) / (2 * h);
  const double size = second.abs().max().item<double>();
  EXPECT_GT(size, 1e-3);
  EXPECT_LT((second - measured).abs().max().item<double>(), 1e-6 * std::max(1.0, size));
}

}  // namespace scorelab::test
