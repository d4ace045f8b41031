#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/dataset.h>
#include <scorelab/guide.h>
#include <scorelab/nn.h>

#include <cmath>

namespace scorelab {

Network::~Network() = default;
Guide::~Guide() = default;
NamedTensors Network::parameters() { return {}; }
void Network::constrain() {}
Classified Network::classify(const Input&) { throw Error("it is no classifier"); }
std::vector<ConditionType> Network::conditions() const { return {}; }
std::optional<Quantity> Network::states() const { return {}; }

void Network::initialise(const std::string&, at::Tensor& parameter, Noise& noise) {
  const c10::NoGradGuard guard;
  if (parameter.dim() < 2) return;  // 1 for the weights of a norm, 0 for biases: as they were made
  const double fan_in =
      static_cast<double>(parameter.numel()) / static_cast<double>(parameter.size(0));
  const double bound = 1 / std::sqrt(fan_in);
  parameter.copy_((noise.uniform(parameter.unsqueeze(0)).squeeze(0) * 2 - 1) * bound);
}

namespace nn {

at::Tensor Weights::add(const std::string& name, std::vector<std::int64_t> shape) {
  const bool scale =
      shape.size() == 1 && name.size() > 7 && name.substr(name.size() - 7) == ".weight";
  at::Tensor tensor = (scale ? at::ones(shape, options_.requires_grad(false))
                             : at::zeros(shape, options_.requires_grad(false)));
  tensor.requires_grad_(true);
  list.emplace_back(name, tensor);
  return tensor;
}

at::Tensor Weights::fixed(const std::string& name, std::vector<std::int64_t> shape) {
  return list.emplace_back(name, at::zeros(shape, options_.requires_grad(false))).second;
}

Linear::Linear(Weights& w, const std::string& name, std::int64_t in, std::int64_t out)
    : weight(w.add(name + ".weight", {out, in})), bias(w.add(name + ".bias", {out})) {}
at::Tensor Linear::operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }

Conv2d::Conv2d(Weights& w, const std::string& name, std::int64_t in, std::int64_t out,
               std::int64_t kernel, std::int64_t stride)
    : weight(w.add(name + ".weight", {out, in, kernel, kernel})),
      bias(w.add(name + ".bias", {out})),
      stride(stride) {}
at::Tensor Conv2d::operator()(const at::Tensor& x) const {
  const std::int64_t pad = (weight.size(2) - 1) / 2;
  return at::conv2d(x, weight, bias, {stride, stride}, {pad, pad});
}

GroupNorm::GroupNorm(Weights& w, const std::string& name, std::int64_t groups,
                     std::int64_t channels)
    : weight(w.add(name + ".weight", {channels})),
      bias(w.add(name + ".bias", {channels})),
      groups(groups) {}
at::Tensor GroupNorm::operator()(const at::Tensor& x) const {
  return at::group_norm(x, groups, weight, bias);
}

ClassEmbedding::ClassEmbedding(Weights& w, const std::string& name, std::int64_t classes,
                               std::int64_t features)
    : weight(w.add(name + ".weight", {classes + 1, features})) {}
at::Tensor ClassEmbedding::operator()(const Input& in) const {
  const std::int64_t none = weight.size(0) - 1;
  const at::Tensor& label = in.condition.at("label");
  return weight.index_select(0, label.masked_fill(label < 0, none));
}

void Hidden::params(Params& p) {
  p("width", width_, "units of a hidden layer").range(1, 65536);
  p("depth", depth_, "number of hidden layers").range(1, 64);
  p("activation", activation_, "of the hidden layers")
      .one_of({"silu", "gelu", "relu", "softplus", "tanh"});
  p("time_features", time_features_, "sines and cosines of the time embedding").range(4, 4096);
  p.gives("second-order").when("activation", {"silu", "gelu", "softplus", "tanh"});
}

void Hidden::check() const {
  if (time_features_ % 2) throw Error("`time_features` must be even: as many sines as cosines");
}

void Hidden::prepare(Weights& w, std::int64_t dim) {
  time_ = Linear(w, "time", time_features_, width_);
  layers_.clear();
  for (std::int64_t i = 0; i < depth_; ++i)
    layers_.emplace_back(w, "layers." + std::to_string(i), i == 0 ? dim : width_, width_);
}

at::Tensor Hidden::operator()(const Input& in, const at::Tensor& known) const {
  const auto activate = [this](const at::Tensor& x) {
    if (activation_ == "silu") return at::silu(x);
    if (activation_ == "gelu") return at::gelu(x);
    if (activation_ == "relu") return at::relu(x);
    if (activation_ == "tanh") return at::tanh(x);
    return at::softplus(x);
  };
  at::Tensor time = time_(time_embedding(in.time, time_features_));
  if (known.defined()) time = time + known;
  at::Tensor h = in.x.flatten(1);
  for (const auto& layer : layers_) h = activate(layer(h) + time);
  return h;
}

at::Tensor time_embedding(const at::Tensor& time, std::int64_t features, double max_period) {
  const std::int64_t half = features / 2;
  const at::Tensor w = at::exp(at::arange(half, time.options()) *
                               (-std::log(max_period) / static_cast<double>(half - 1)));
  const at::Tensor angle = time.unsqueeze(1) * w.unsqueeze(0);
  return at::cat({angle.sin(), angle.cos()}, 1);
}

void expect_halvings(const std::vector<std::int64_t>& shape, std::int64_t times,
                     const std::string& key) {
  if (shape.size() != 3) throw Error("it takes images, [channels, height, width]");
  std::int64_t height = shape[1], width = shape[2], possible = 0;
  for (; height > 0 && height % 2 == 0 && width % 2 == 0; height /= 2, width /= 2) ++possible;
  if (times <= possible) return;
  throw Error(fmt::format(
      "`{}` halves the images {} times; their size {} x {} can be halved {} times: at most {} "
      "resolutions",
      key, times, shape[1], shape[2], possible, possible + 1));
}

at::Tensor dropout(const at::Tensor& x, double rate, Noise* noise) {
  if (!noise || rate == 0) return x;
  return x * (noise->uniform(x) >= rate).to(x.scalar_type()) * (1 / (1 - rate));
}

}  // namespace nn
}  // namespace scorelab
