#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <scorelab/nn.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

namespace scorelab::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// In float32 at least: a backward pass runs outside of autocast, which would see to it.
at::Tensor written_out(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto wide = [](const at::Tensor& x) {
    return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  };
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(-1)));
  const at::Tensor scores = at::matmul(wide(q), wide(k).transpose(-2, -1)) * scale;
  return at::matmul(at::softmax(scores, -1), wide(v)).to(v.scalar_type());
}

/// The fused kernels take no others.
at::Tensor dense(const at::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

/// The fused kernels, whose own graph is kept for a first derivative.
struct Attention : torch::autograd::Function<Attention> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v) {
    const c10::AutoGradMode with_gradients(true);
    variable_list kept{q, k, v};
    for (const auto& x : {q, k, v}) kept.push_back(x.detach().requires_grad_(true));
    kept.push_back(at::scaled_dot_product_attention(kept[3], kept[4], kept[5]));
    const at::Tensor out = kept.back().detach();
    ctx->save_for_backward(std::move(kept));  // which frees them as the backward pass goes on
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list kept = ctx->get_saved_variables();
    const bool again = c10::GradMode::is_enabled();
    variable_list inputs;
    for (std::size_t i = 0; i < 3; ++i)  // views: q may have been computed of k
      inputs.push_back(again ? kept[i].view_as(kept[i]) : kept[3 + i]);
    const at::Tensor out = again ? written_out(inputs[0], inputs[1], inputs[2]) : kept[6];
    variable_list wanted;
    for (std::size_t i = 0; i < 3; ++i)
      if (ctx->needs_input_grad(i)) wanted.push_back(inputs[i]);
    // the graph belongs to this node, which a caller may visit again
    const auto found = torch::autograd::grad({out}, wanted, gradients, true, again);
    variable_list result(3);
    for (std::size_t i = 0, next = 0; i < 3; ++i)
      if (ctx->needs_input_grad(i)) result[i] = found[next++];
    return result;
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (c10::GradMode::is_enabled()) return Attention::apply(dense(q), dense(k), dense(v));
  return at::scaled_dot_product_attention(dense(q), dense(k), dense(v));
}

}  // namespace scorelab::nn
