#include "setup/cost.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <ATen/record_function.h>
#include <torch/library.h>

namespace scorelab::host {
namespace {

/// Of a convolution's or, where it is transposed, of its input's pixels.
std::vector<std::int64_t> output_shape(const at::Tensor& x, const at::Tensor& weight,
                                       at::IntArrayRef stride, at::IntArrayRef padding,
                                       at::IntArrayRef dilation, bool transposed,
                                       at::IntArrayRef output_padding, std::int64_t groups) {
  std::vector<std::int64_t> out{x.size(0), transposed ? weight.size(1) * groups : weight.size(0)};
  for (std::int64_t i = 2; i < x.dim(); ++i) {
    const auto at = [i](at::IntArrayRef v) {
      return v[v.size() == 1 ? 0 : static_cast<std::size_t>(i - 2)];
    };
    const std::int64_t reach = at(dilation) * (weight.size(i) - 1);
    out.push_back(transposed ? (x.size(i) - 1) * at(stride) - 2 * at(padding) + reach +
                                   at(output_padding) + 1
                             : (x.size(i) + 2 * at(padding) - reach - 1) / at(stride) + 1);
  }
  return out;
}

/// LibTorch leaves these operations' shapes to Python.
at::Tensor shape_of_convolution(const at::Tensor& x, const at::Tensor& weight,
                                const std::optional<at::Tensor>&, at::IntArrayRef stride,
                                at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                                at::IntArrayRef output_padding, std::int64_t groups) {
  return at::empty(
      output_shape(x, weight, stride, padding, dilation, transposed, output_padding, groups),
      x.options());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> shape_of_norm(
    const at::Tensor& x, const std::optional<at::Tensor>&, const std::optional<at::Tensor>&,
    const std::optional<at::Tensor>&, const std::optional<at::Tensor>&, bool, double, double) {
  const at::Tensor statistics = at::empty({x.size(1)}, x.options());
  return {at::empty(x.sizes(), x.options()), statistics, statistics.clone()};
}

at::Tensor shape_of_selection(const at::Tensor& x, std::int64_t axis, const at::Tensor& index) {
  std::vector<std::int64_t> out = x.sizes().vec();
  out.at(static_cast<std::size_t>(axis < 0 ? axis + x.dim() : axis)) = index.numel();
  return at::empty(out, x.options());
}

at::Tensor& shape_of_choice(const at::Tensor& condition, const at::Tensor& a, const at::Tensor& b,
                            at::Tensor& out) {
  out.resize_(at::infer_size(condition.sizes(), at::infer_size(a.sizes(), b.sizes())));
  return out;
}

at::Tensor same_shape(const at::Tensor& x) { return at::empty(x.sizes(), x.options()); }

TORCH_LIBRARY_IMPL(aten, Meta, m) {
  m.impl("convolution", shape_of_convolution);
  m.impl("native_batch_norm", shape_of_norm);
  m.impl("index_select", shape_of_selection);
  m.impl("where.self_out", shape_of_choice);
  m.impl("abs", same_shape);
}

thread_local double counted = 0;

double elements(const at::Tensor& x) { return static_cast<double>(x.numel()); }

/// Called for every operation.
std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& call) {
  const std::string name = call.name();
  const auto inputs = call.inputs();
  const auto product = [&](std::size_t a, std::size_t b) {
    counted +=
        elements(inputs[a].toTensor()) * static_cast<double>(inputs[b].toTensor().sizes().back());
  };
  if (name == "aten::mm" || name == "aten::bmm") {
    product(0, 1);
  } else if (name == "aten::addmm" || name == "aten::baddbmm") {
    product(1, 2);
  } else if (name == "aten::mv" || name == "aten::dot") {
    counted += elements(inputs[0].toTensor());
  } else if (name == "aten::addmv") {
    counted += elements(inputs[1].toTensor());
  } else if (name == "aten::convolution") {
    const at::Tensor x = inputs[0].toTensor(), weight = inputs[1].toTensor();
    const bool transposed = inputs[6].toBool();
    const auto out = output_shape(x, weight, inputs[3].toIntVector(), inputs[4].toIntVector(),
                                  inputs[5].toIntVector(), transposed, inputs[7].toIntVector(),
                                  inputs[8].toInt());
    // each weight meets each pixel of the output once, or of the input
    double pixels = static_cast<double>(x.size(0));
    for (std::int64_t i = 2; i < x.dim(); ++i)
      pixels *= static_cast<double>(transposed ? x.size(i) : out[static_cast<std::size_t>(i)]);
    counted += elements(weight) * pixels;
  }
  return nullptr;
}

/// What `f` multiplies; none where an operation has no shapes without numbers.
std::optional<double> multiply_adds(const std::function<void()>& f) {
  counted = 0;
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(count).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  std::optional<double> out;
  try {
    const c10::AutoGradMode no_gradients(false);
    f();
    out = counted;
  } catch (const std::exception&) {
  }
  at::removeCallback(handle);
  return out;
}

}  // namespace

Cost cost_of(const std::shared_ptr<Network>& network, const Json& config, Setting setting) {
  setting.options = setting.options.device(at::kMeta);
  prepare(network, config, setting);
  Cost out;
  for (const auto& [name, parameter] : network->parameters())
    if (parameter.requires_grad()) out.parameters += parameter.numel();
  std::vector<std::int64_t> one{1};
  one.insert(one.end(), setting.shape.begin(), setting.shape.end());
  const at::Tensor x = at::empty(one, setting.options), t = at::empty({1}, setting.options);
  Condition condition;
  for (const auto& type : network->conditions()) {
    std::vector<std::int64_t> shape{1};
    shape.insert(shape.end(), type.shape.begin(), type.shape.end());
    condition[type.name] =
        at::empty(shape, setting.options.dtype(type.dtype == at::kLong ? at::kLong : at::kFloat));
  }
  Params declared;
  network->params(declared);
  const auto given = schema::of(declared).gives;
  const bool classifies =
      std::any_of(given.begin(), given.end(), [](const auto& g) { return g.name == "classifies"; });
  out.multiply_adds = multiply_adds([&] {
    const Input in{
        .x = x, .time = t, .alpha = t, .sigma = t, .condition = condition, .noise = nullptr};
    if (classifies)
      network->classify(in);
    else
      network->forward(in);
  });
  return out;
}

}  // namespace scorelab::host
