#include <c10/core/GradMode.h>
#include <scorelab/draft/adm.h>
#include <scorelab/plugin.h>

#include <string>
#include <utility>
#include <vector>

namespace {
using namespace scorelab;

/// The U-Net of Nichol & Dhariwal 2021 (improved DDPM) and of Dhariwal & Nichol 2021 (ADM): by
/// default that of ADM for ImageNet at 64 x 64, 295.9 M parameters with classes = 1000 and a
/// learned variance. Parameters have the names of the papers' code, so that its checkpoints load as
/// they are (docs/checkpoints.md).
class AdmUNet final : public Network {
 public:
  void params(Params& p) override {
    encoder_.params(p);
    p("classes", classes_,
      "number of class labels it takes, as vectors added to the time embedding; without a label "
      "none is added; 0: it takes none")
        .range(0, 1e6);
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.gives("trains");
    p.gives("variance");
    presets(p);
  }
  void check() const override { encoder_.check(); }
  void prepare(const Setting& setting) override {
    nn::Weights w(setting.options);
    encoder_.prepare(w, setting.shape, classes_);
    const std::int64_t width = build_up(w, setting.shape[1]);
    norm_ = nn::GroupNorm(w, "out.0", encoder_.groups, width);
    out_ = nn::Conv2d(w, "out.2", width, setting.parts * setting.shape[0], 3);
    parameters_ = w.list;
  }
  NamedTensors parameters() override { return parameters_; }
  std::vector<ConditionType> conditions() const override {
    if (classes_ == 0) return {};
    return {class_label(classes_)};
  }

  /// As in the papers' code: the last map is 0 too.
  void initialise(const std::string& name, at::Tensor& parameter, Noise& noise) override {
    const c10::NoGradGuard guard;
    if (name.starts_with("out.2."))
      parameter.zero_();
    else
      adm::initialise(name, parameter, noise, parameters_);
  }

  at::Tensor forward(const Input& in) override {
    const at::Tensor e = encoder_.embedding(in);
    std::vector<at::Tensor> skips;
    at::Tensor h = encoder_(in, e, &skips);
    const adm::Mode mode = encoder_.mode(in);
    for (const adm::Block& block : up_) {
      h = block(at::cat({h, skips.back()}, 1), e, mode);
      skips.pop_back();
    }
    return out_(at::silu(norm_(h)));
  }

 private:
  void presets(Params& p) {
    p.preset("imagenet64", "ADM, ImageNet 64 x 64: 295.9 M parameters", [this] {
      encoder_.dropout = 0.1;
      classes_ = 1000;
    });
    p.preset("imagenet128", "ADM, ImageNet 128 x 128: 421.5 M", [this] {
      large({1, 1, 2, 3, 4});
      encoder_.head_channels = 0;
      classes_ = 1000;
    });
    p.preset("imagenet256", "ADM, ImageNet 256 x 256: 553.8 M", [this] {
      large({1, 1, 2, 2, 4, 4});
      classes_ = 1000;
    });
    p.preset("lsun256", "ADM, LSUN 256 x 256, without classes: 552.8 M", [this] {
      large({1, 1, 2, 2, 4, 4});
      encoder_.dropout = 0.1;
    });
    p.preset("improved-imagenet64", "improved DDPM, ImageNet 64 x 64, without classes: 121.1 M",
             [this] { improved(); });
    p.preset("improved-cifar10", "improved DDPM, CIFAR-10: 52.5 M", [this] {
      improved();
      encoder_.multipliers = {1, 2, 2, 2};
      encoder_.dropout = 0.3;
    });
  }
  void large(std::vector<std::int64_t> multipliers) {
    encoder_.channels = 256;
    encoder_.multipliers = std::move(multipliers);
    encoder_.blocks = 2;
    encoder_.qkv = "by-head";
  }
  void improved() {
    encoder_.channels = 128;
    encoder_.attention_at = {16, 8};
    encoder_.head_channels = 0;
    encoder_.resample = "conv";
    encoder_.modulate = true;
    encoder_.qkv = "by-head";
  }

  /// The width at its end.
  std::int64_t build_up(nn::Weights& w, std::int64_t side) {
    std::vector<std::int64_t> skips = encoder_.skips();
    std::int64_t width = encoder_.width();
    up_.clear();
    for (std::int64_t l = encoder_.levels() - 1; l >= 0; --l) {
      const std::int64_t own = encoder_.channels * encoder_.multipliers[l];
      for (std::int64_t b = 0; b <= encoder_.blocks; ++b) {
        const std::string n = "output_blocks." + std::to_string(up_.size());
        adm::Block& block = up_.emplace_back();
        block.res.emplace(encoder_.res(w, n + ".0", width + skips.back(), own));
        skips.pop_back();
        width = own;
        if (encoder_.attends(side >> l))
          block.attention.emplace(encoder_.attention(w, n + ".1", own));
        if (b < encoder_.blocks || l == 0) continue;
        const std::string last = n + (block.attention ? ".2" : ".1");
        if (encoder_.resample == "block")
          block.resampler.emplace(encoder_.res(w, last, own, own, adm::Resample::up));
        else
          block.conv.emplace(w, last + ".conv", own, own, 3);
        block.up = true;
      }
    }
    return width;
  }

  adm::Encoder encoder_;
  std::int64_t classes_ = 0;
  std::vector<adm::Block> up_;
  nn::GroupNorm norm_;
  nn::Conv2d out_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(AdmUNet, network, "adm-unet", "1.0.1",
                "U-Net of improved DDPM and ADM (Dhariwal & Nichol 2021)")
