#include <c10/core/GradMode.h>
#include <scorelab/dataset.h>
#include <scorelab/draft/adm.h>
#include <scorelab/error.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace {
using namespace scorelab;

/// The classifier of noisy images of Dhariwal & Nichol 2021 (ADM): the first half of its U-Net and
/// attention of one more token, the pixels' mean, to all pixels. What that token gives is its
/// features. By default that for ImageNet at 64 x 64, 65.4 M parameters with 1000 classes, under
/// the names of the paper's code.
class AdmClassifier final : public Network {
 public:
  AdmClassifier() {
    encoder_.channels = 128;
    encoder_.blocks = 4;
    encoder_.qkv = "by-head";
  }
  void params(Params& p) override {
    encoder_.params(p);
    p.needs("labels", "its classes are those of the data");
    p.gives("classifies");
    p.gives("trains");
    p.preset("imagenet64", "ADM's for ImageNet 64 x 64: 65.4 M parameters", [] {});
    p.preset("imagenet128", "128 x 128: 42.6 M", [this] { large({1, 1, 2, 3, 4}); });
    p.preset("imagenet256", "256 x 256: 54.1 M", [this] { large({1, 1, 2, 2, 4, 4}); });
  }
  void check() const override { encoder_.check(); }
  void prepare(const Setting& setting) override {
    const std::int64_t classes = classes_of(setting.data->conditions());
    if (classes < 2)
      throw Error("the data set names " + std::to_string(classes) +
                  " classes; a classifier needs two");
    nn::Weights w(setting.options);
    encoder_.prepare(w, setting.shape, 0);
    const std::int64_t width = encoder_.width(),
                       pixels = (setting.shape[1] >> (encoder_.levels() - 1)) *
                                (setting.shape[2] >> (encoder_.levels() - 1));
    norm_ = nn::GroupNorm(w, "out.0", encoder_.groups, width);
    positions_ = w.add("out.2.positional_embedding", {width, pixels + 1});
    qkv_weight_ = w.add("out.2.qkv_proj.weight", {3 * width, width, 1});
    qkv_bias_ = w.add("out.2.qkv_proj.bias", {3 * width});
    out_weight_ = w.add("out.2.c_proj.weight", {classes, width, 1});
    out_bias_ = w.add("out.2.c_proj.bias", {classes});
    parameters_ = w.list;
  }
  NamedTensors parameters() override { return parameters_; }
  /// As in the paper's code: positions are N(0, 1 / width).
  void initialise(const std::string& name, at::Tensor& parameter, Noise& noise) override {
    const c10::NoGradGuard guard;
    if (name == "out.2.positional_embedding")
      parameter.copy_(noise.normal(parameter.unsqueeze(0)).squeeze(0) /
                      std::sqrt(static_cast<double>(parameter.size(0))));
    else
      adm::initialise(name, parameter, noise, parameters_);
  }
  at::Tensor forward(const Input&) override { throw Error("it is a classifier: it says no score"); }
  Classified classify(const Input& in) override {
    const at::Tensor x = at::silu(norm_(encoder_(in, encoder_.embedding(in)))).flatten(2);
    const at::Tensor tokens = at::cat({x.mean(2, true), x}, 2) + positions_;
    const std::int64_t width = x.size(1);
    const std::int64_t heads =
        encoder_.head_channels > 0 ? width / encoder_.head_channels : encoder_.heads;
    const at::Tensor y =
        adm::attention(at::conv1d(tokens, qkv_weight_, qkv_bias_), heads, true).narrow(2, 0, 1);
    return {at::conv1d(y, out_weight_, out_bias_).squeeze(2), y.squeeze(2)};
  }

 private:
  void large(std::vector<std::int64_t> multipliers) {
    encoder_.multipliers = std::move(multipliers);
    encoder_.blocks = 2;
  }

  adm::Encoder encoder_;
  nn::GroupNorm norm_;
  at::Tensor positions_, qkv_weight_, qkv_bias_, out_weight_, out_bias_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(AdmClassifier, network, "adm-classifier", "1.0.0",
                "classifier of noisy images of ADM (Dhariwal & Nichol 2021)")
