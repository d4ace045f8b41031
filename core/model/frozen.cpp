#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <scorelab/arrays.h>
#include <scorelab/draft/frozen.h>
#include <scorelab/error.h>

namespace scorelab::frozen {

Tensors::Tensors(std::filesystem::path file, const at::TensorOptions& options)
    : file_(std::move(file)), options_(options) {
  for (auto& [name, value] : read_safetensors(file_))
    if (!name.ends_with("num_batches_tracked")) left_.emplace(name, std::move(value));
}

at::Tensor Tensors::take(const std::string& name, const std::vector<std::int64_t>& shape) {
  auto found = left_.extract(name);
  if (found.empty()) throw Error(file_.string() + " holds no tensor `" + name + "`");
  if (found.mapped().sizes() != at::IntArrayRef(shape))
    throw Error(c10::str(file_.string(), ": `", name, "` is ", found.mapped().sizes(),
                         "; expected ", at::IntArrayRef(shape)));
  return found.mapped().to(options_);
}

void Tensors::expect_all_taken() const {
  if (!left_.empty())
    throw Error(c10::str(file_.string(), " holds ", left_.size(),
                         " tensors that are not expected, such as `", left_.begin()->first, "`"));
}

ConvNorm::ConvNorm(Tensors& from, const std::string& conv, const std::string& norm,
                   std::int64_t out, std::int64_t in, std::vector<std::int64_t> kernel)
    : weight(from.take(conv + ".weight", {out, in, kernel.at(0), kernel.at(1)})),
      scale(from.take(norm + ".weight", {out})),
      shift(from.take(norm + ".bias", {out})),
      mean(from.take(norm + ".running_mean", {out})),
      variance(from.take(norm + ".running_var", {out})) {}

at::Tensor ConvNorm::normed(const at::Tensor& x) const {
  return at::batch_norm(x, scale, shift, mean, variance, false, 0, 1e-3, false);
}

void Pixels::prepare(const Setting& setting) {
  to_model_ = setting.space->expect_affine();
  if (setting.shape.size() != 3 || (setting.shape[0] != 1 && setting.shape[0] != 3))
    throw Error(c10::str("it looks at images of one or three channels, [C, H, W]; these items are ",
                         at::IntArrayRef(setting.shape)));
}

at::Tensor Pixels::operator()(const at::Tensor& x) const {
  const at::Tensor data = (x - to_model_.shift) / to_model_.scale;
  return (data * 255).round().clamp(0, 255).expand({-1, 3, -1, -1});
}

namespace {

/// While it lives, products are not rounded: what judges see does not depend on run.precision.
class Unrounded {
 public:
  explicit Unrounded(at::DeviceType device)
      : device_(device), enabled_(at::autocast::is_autocast_enabled(device)) {
    at::autocast::set_autocast_enabled(device, false);
  }
  ~Unrounded() { at::autocast::set_autocast_enabled(device_, enabled_); }
  Unrounded(const Unrounded&) = delete;
  Unrounded& operator=(const Unrounded&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
};

}  // namespace

Classified in_parts(const at::Tensor& x, const std::function<Classified(const at::Tensor&)>& f) {
  constexpr std::int64_t most = 32;
  const Unrounded exact(x.device().type());
  std::vector<at::Tensor> logits, features;
  for (std::int64_t first = 0; first < x.size(0); first += most) {
    Classified part = f(x.narrow(0, first, std::min(most, x.size(0) - first)));
    logits.push_back(std::move(part.logits));
    features.push_back(std::move(part.features));
  }
  return {at::cat(logits), at::cat(features)};
}

}  // namespace scorelab::frozen
