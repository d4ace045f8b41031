#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <scorelab/nn.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace scorelab {
namespace {

at::Tensor drawn(double shift) {
  const at::Tensor k = at::arange(2 * 3 * 5 * 4, at::kDouble);
  return at::sin(1.7 * k + shift).view({2, 3, 5, 4}).requires_grad_(true);
}

struct Attention : testing::Test {
  at::Tensor q = drawn(0.1), k = drawn(0.5), v = drawn(1.1);
  at::Tensor weight = at::cos(0.3 * at::arange(120, at::kDouble)).view({2, 3, 5, 4});

  /// Vaswani et al. 2017, equation 1.
  at::Tensor formula() const {
    const at::Tensor scores = at::einsum("bhid,bhjd->bhij", {q, k}) / std::sqrt(4.0);
    const at::Tensor e = at::exp(scores);
    return at::einsum("bhij,bhjd->bhid", {e / e.sum(-1, true), v});
  }
  /// The gradients of a scalar of `out`, and those of a scalar of these.
  std::vector<at::Tensor> gradients(const at::Tensor& out, bool again) const {
    const auto first =
        torch::autograd::grad({(out.pow(2) * weight).sum()}, {q, k, v}, {}, again, again);
    if (!again) return first;
    at::Tensor sum = at::zeros({}, at::kDouble);
    for (const auto& g : first) sum = sum + (g.pow(3) * weight).sum();
    return torch::autograd::grad({sum}, {q, k, v});
  }
};

TEST_F(Attention, HasTheValueAndTheDerivativesOfItsFormula) {
  EXPECT_TRUE(at::allclose(nn::attention(q, k, v), formula(), 1e-13, 1e-13));
  for (const bool again : {false, true}) {
    const auto got = gradients(nn::attention(q, k, v), again),
               expected = gradients(formula(), again);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_TRUE(at::allclose(got[i], expected[i], 1e-11, 1e-12)) << again << i;
  }
  const c10::AutoGradMode no_grad(false);
  EXPECT_TRUE(at::allclose(nn::attention(q, k, v), formula(), 1e-13, 1e-13));
}

TEST_F(Attention, GivesGradientsToThoseThatAskAlone) {
  const at::Tensor out = nn::attention(q, k.detach(), v.detach());
  const at::Tensor got = torch::autograd::grad({out.sum()}, {q}, {}, true)[0];
  const at::Tensor expected = torch::autograd::grad({formula().sum()}, {q})[0];
  EXPECT_TRUE(at::allclose(got, expected, 1e-12, 1e-13));
  EXPECT_TRUE(at::equal(torch::autograd::grad({out.sum()}, {q})[0], got)) << "asked twice";
}

TEST_F(Attention, OfOneTensorHasItsDerivatives) {
  const auto both = [&](const auto& f) {
    std::vector<at::Tensor> out;
    for (const bool again : {false, true}) {
      const at::Tensor y = f(q);
      out.push_back(torch::autograd::grad({(y.pow(2) * weight).sum()}, {q}, {}, again, again)[0]);
    }
    return out;
  };
  const auto fused = both([](const at::Tensor& a) { return nn::attention(a, at::cos(a), a); });
  const auto formula = both([](const at::Tensor& a) {
    const at::Tensor e = at::exp(at::einsum("bhid,bhjd->bhij", {a, at::cos(a)}) / 2);
    return at::einsum("bhij,bhjd->bhid", {e / e.sum(-1, true), a});
  });
  EXPECT_TRUE(at::allclose(fused[0], formula[0], 1e-12, 1e-13));
  EXPECT_TRUE(at::allclose(fused[1], formula[0], 1e-12, 1e-13));
}

TEST_F(Attention, TakesWhatIsTransposed) {
  const auto turned = [](const at::Tensor& x) {
    return x.detach().transpose(2, 3).contiguous().requires_grad_(true);
  };
  const at::Tensor a = turned(q), b = turned(k), c = turned(v);
  const at::Tensor out = nn::attention(a.transpose(2, 3), b.transpose(2, 3), c.transpose(2, 3));
  EXPECT_TRUE(at::allclose(out, formula(), 1e-13, 1e-13));
  const at::Tensor got = torch::autograd::grad({(out * weight).sum()}, {b})[0];
  const at::Tensor expected = torch::autograd::grad({(formula() * weight).sum()}, {k})[0];
  EXPECT_TRUE(at::allclose(got.transpose(2, 3), expected, 1e-12, 1e-13));
}

}  // namespace
}  // namespace scorelab
