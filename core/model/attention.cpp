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

at::Tensor written_out(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(-1)));
  return at::matmul(at::softmax(at::matmul(q, k.transpose(-2, -1)) * scale, -1), v);
}

/// The fused kernels, whose own graph is kept for a first derivative.
struct Attention : torch::autograd::Function<Attention> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v) {
    ctx->save_for_backward({q, k, v});
    const c10::AutoGradMode with_gradients(true);
    variable_list own;
    for (const auto& x : {q, k, v}) own.push_back(x.detach().requires_grad_(true));
    const at::Tensor out = at::scaled_dot_product_attention(own[0], own[1], own[2]);
    ctx->saved_data["out"] = out;
    ctx->saved_data["own"] = at::TensorList(own);
    return out.detach();
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const bool again = c10::GradMode::is_enabled();
    variable_list inputs;
    at::Tensor out;
    if (again) {
      inputs = ctx->get_saved_variables();
      out = written_out(inputs[0], inputs[1], inputs[2]);
    } else {
      inputs = ctx->saved_data["own"].toTensorVector();
      out = ctx->saved_data["out"].toTensor();
    }
    variable_list wanted;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (ctx->needs_input_grad(i)) wanted.push_back(inputs[i]);
    // The graph belongs to this node, which a caller may visit again.
    const auto found = torch::autograd::grad({out}, wanted, gradients, true, again);
    variable_list result(inputs.size());
    for (std::size_t i = 0, next = 0; i < inputs.size(); ++i)
      if (ctx->needs_input_grad(i)) result[i] = found[next++];
    return result;
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (!c10::GradMode::is_enabled()) return at::scaled_dot_product_attention(q, k, v);
  return Attention::apply(q, k, v);
}

}  // namespace scorelab::nn
