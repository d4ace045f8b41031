#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <scorelab/error.h>
#include <scorelab/nn.h>
#include <torch/csrc/autograd/autograd.h>

namespace scorelab::nn {
namespace {

at::Tensor wave(at::IntArrayRef shape, double phase) {
  return at::cos(0.7 * at::arange(c10::multiply_integers(shape), at::kDouble) + phase).view(shape);
}

class Bfloat16 {
 public:
  Bfloat16() {
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, true);
  }
  ~Bfloat16() {
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
};

class Recomputed : public testing::Test {
 protected:
  at::Tensor f(const std::vector<at::Tensor>& in) {
    ++calls_;
    const at::Tensor inner = at::silu(at::linear(in[0], w_));
    inner_.emplace_back(inner.getIntrusivePtr());
    return at::linear(inner * in[1], w_.t());
  }
  at::Tensor result(bool recompute) {
    const auto body = [this](const std::vector<at::Tensor>& in) { return f(in); };
    return recompute ? recomputed(body, {x_, factor_}, {w_}) : body({x_, factor_});
  }
  /// Of x, the factor and the weight.
  std::vector<at::Tensor> gradients(bool recompute) {
    return torch::autograd::grad({(result(recompute) * wave({4, 3}, 2)).sum()}, {x_, factor_, w_});
  }

  at::Tensor x_ = wave({4, 3}, 0).requires_grad_(true);
  at::Tensor factor_ = wave({4, 5}, 1).requires_grad_(true);
  at::Tensor w_ = wave({5, 3}, 3).requires_grad_(true);
  std::vector<c10::weak_intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>> inner_;
  int calls_ = 0;
};

TEST_F(Recomputed, GradientsHaveTheBitsOfThoseThatKeepActivations) {
  const auto kept = gradients(false), again = gradients(true);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(kept[i], again[i])) << i;
  EXPECT_EQ(calls_, 3) << "once, and twice";
}

TEST_F(Recomputed, ActivationsAreNotKept) {
  const at::Tensor kept = result(false), recomputed = result(true);
  EXPECT_FALSE(inner_[0].expired()) << "this test needs an activation that autograd keeps";
  EXPECT_TRUE(inner_[1].expired());
}

/// Attention is fused where gradients are off, and must not be so in one call of the two.
TEST_F(Recomputed, BothCallsComputeWithGradients) {
  int without = 0;
  const at::Tensor y = recomputed(
      [&](const std::vector<at::Tensor>& in) {
        without += !c10::GradMode::is_enabled();
        return in[0] * 2;
      },
      {x_}, {});
  y.sum().backward();
  EXPECT_EQ(without, 0);
}

TEST_F(Recomputed, InputsThatNeedNoGradientHaveNone) {
  factor_ = factor_.detach();
  const at::Tensor out = result(true).sum();
  out.backward();
  EXPECT_FALSE(factor_.grad().defined());
  EXPECT_TRUE(x_.grad().defined() && w_.grad().defined());
}

TEST_F(Recomputed, WithoutGradientsItIsTheFunction) {
  const c10::AutoGradMode no_grad(false);
  EXPECT_TRUE(at::equal(result(true), result(false)));
  EXPECT_EQ(calls_, 2);
}

TEST_F(Recomputed, ASecondDerivativeIsRefused) {
  const at::Tensor out = (result(true) * wave({4, 3}, 2)).sum();
  EXPECT_THROW(torch::autograd::grad({out}, {x_}, {}, true, true), Error);
}

TEST_F(Recomputed, TheSecondCallHasTheFirstOnesAutocast) {
  x_ = x_.detach().to(at::kFloat).requires_grad_(true);
  factor_ = factor_.detach().to(at::kFloat).requires_grad_(true);
  w_ = w_.detach().to(at::kFloat).requires_grad_(true);
  at::Tensor kept, again;
  {
    const Bfloat16 rounded;
    kept = result(false);
    again = result(true);
  }
  EXPECT_TRUE(at::equal(kept, again));
  EXPECT_EQ(again.scalar_type(), at::kBFloat16);
  const auto gradient = [&](const at::Tensor& y) {
    return torch::autograd::grad({y.sum()}, {w_})[0];
  };
  const at::Tensor a = gradient(kept), b = gradient(again);
  EXPECT_TRUE(at::equal(a, b)) << a << b;
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
}

}  // namespace
}  // namespace scorelab::nn
