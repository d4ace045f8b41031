#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <scorelab/nn.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {
using namespace scorelab;

/// x over its root mean square along `dims`.
at::Tensor normalised(const at::Tensor& x, at::IntArrayRef dims) {
  const at::Tensor norm = at::linalg_vector_norm(x, 2, dims, true);  // its slope at 0 is finite
  const double count = static_cast<double>(x.numel()) / static_cast<double>(norm.numel());
  return x / (1e-4 + norm / std::sqrt(count));
}

/// A matrix or kernel whose rows, one an output, have size 1.
at::Tensor of_unit_rows(const at::Tensor& weight) {
  return normalised(weight.flatten(1), {1}).view(weight.sizes());
}

/// SiLU that keeps the size of what is N(0, 1).
at::Tensor activated(const at::Tensor& x) { return at::silu(x) / 0.596; }

/// A share t of b beside a, of the same size as they.
at::Tensor mixed(const at::Tensor& a, const at::Tensor& b, double t) {
  return at::lerp(a, b, t) / std::sqrt((1 - t) * (1 - t) + t * t);
}

/// Both in one, half of the size from each however many channels they have.
at::Tensor joined(const at::Tensor& a, const at::Tensor& b) {
  const auto of_a = static_cast<double>(a.size(1)), of_b = static_cast<double>(b.size(1));
  const double size = std::sqrt((of_a + of_b) / 2);
  return at::cat({a * (size / std::sqrt(of_a)), b * (size / std::sqrt(of_b))}, 1);
}

enum class Resample { keep, down, up };

at::Tensor resampled(const at::Tensor& x, Resample how) {
  if (how == Resample::down) return at::avg_pool2d(x, 2);
  if (how == Resample::up) return x.repeat_interleave(2, 2).repeat_interleave(2, 3);
  return x;
}

/// A matrix or kernel without a bias whose outputs have the size of its inputs, whatever the size
/// of its weights.
struct Map {
  Map() = default;
  Map(nn::Weights& w, const std::string& name, std::int64_t in, std::int64_t out,
      std::int64_t kernel = 0)
      : weight(w.add(name + ".weight",
                     kernel > 0 ? std::vector{out, in, kernel, kernel} : std::vector{out, in})) {}
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& gain = {}) const {
    const double fan_in = static_cast<double>(weight.numel()) / static_cast<double>(weight.size(0));
    at::Tensor w = of_unit_rows(weight) / std::sqrt(fan_in);
    if (gain.defined()) w = w * gain;
    if (w.dim() == 2) return x.matmul(w.t());
    const std::int64_t pad = w.size(2) / 2;
    return at::conv2d(x, w, {}, {1, 1}, {pad, pad});
  }
  at::Tensor weight;
};

/// What all blocks of a network share.
struct Shape {
  std::int64_t embedding, head_channels;
  double dropout;
};

/// A residual block of the encoder or, otherwise, of the decoder.
struct Block {
  Block(nn::Weights& w, const std::string& n, std::int64_t in, std::int64_t out, bool encodes,
        const Shape& shape, Resample resample = Resample::keep, bool attends = false)
      : encodes(encodes),
        resample(resample),
        dropout(shape.dropout),
        head_channels(shape.head_channels),
        emb_gain(w.add(n + ".emb_gain", {})),
        conv0(w, n + ".conv_res0", encodes ? out : in, out, 3),
        emb(w, n + ".emb_linear", shape.embedding, out),
        conv1(w, n + ".conv_res1", out, out, 3) {
    if (in != out) skip.emplace(w, n + ".conv_skip", in, out, 1);
    if (!attends) return;
    qkv.emplace(w, n + ".attn_qkv", out, 3 * out, 1);
    proj.emplace(w, n + ".attn_proj", out, out, 1);
  }
  at::Tensor operator()(at::Tensor x, const at::Tensor& embedding, Noise* noise) const {
    x = resampled(x, resample);
    if (encodes) x = normalised(skip ? (*skip)(x) : x, {1});
    at::Tensor y = conv0(activated(x));
    const at::Tensor c = emb(embedding, emb_gain) + 1;
    y = nn::dropout(activated(y * c.unsqueeze(-1).unsqueeze(-1)), dropout, noise);
    y = conv1(y);
    if (!encodes && skip) x = (*skip)(x);
    x = mixed(x, y, 0.3);
    if (qkv) x = mixed(x, (*proj)(attended(x)), 0.3);
    return x.clamp(-256, 256);
  }
  /// Of cosines: q, k and v have size 1. The rows of qkv lie head by head, channel by channel.
  at::Tensor attended(const at::Tensor& x) const {
    const std::int64_t heads = x.size(1) / head_channels;
    const at::Tensor all =
        normalised((*qkv)(x).view({x.size(0), heads, head_channels, 3, -1}), {2});
    const auto part = [&](std::int64_t i) { return all.select(3, i).transpose(2, 3); };
    return nn::attention(part(0), part(1), part(2)).transpose(2, 3).reshape(x.sizes());
  }

  bool encodes;
  Resample resample;
  double dropout;
  std::int64_t head_channels;
  at::Tensor emb_gain;
  Map conv0, emb, conv1;
  std::optional<Map> skip, qkv, proj;
};

/// The U-Net of Karras et al. 2024 (EDM2, configuration G): no biases and no norms; every map keeps
/// the size of what it maps, and training keeps rows of weights at size 1. By default EDM2-XS.
/// Parameters have the names of the paper's code (docs/checkpoints.md).
class Edm2UNet final : public Network {
 public:
  void params(Params& p) override {
    p("channels", channels_, "channels at the first resolution, before the multipliers")
        .range(2, 4096);
    p("multipliers", multipliers_,
      "of the channels, one a resolution; each next one is half as wide")
        .range(1, 64);
    p("blocks", blocks_, "residual blocks a resolution on the way down; one more on the way up")
        .range(1, 16);
    p("attention", attention_,
      "resolutions (pixels a side) with self-attention, beside the middle; those that do not occur "
      "have no effect")
        .range(1, 4096);
    p("head_channels", head_channels_, "width of a head of the attention").range(1, 4096);
    p("dropout", dropout_, "rate in the residual blocks, in training").range(0, 0.95);
    p("classes", classes_, "number of class labels it takes; 0: it takes none").range(0, 1e6);
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.needs("images", "it convolves over height and width");
    p.gives("trains");
    p.gives("variance");
    p.gives("second-order");
    for (const auto& [name, channels, millions] : {std::tuple{"xs", 128, "125"},
                                                   {"s", 192, "280"},
                                                   {"m", 256, "498"},
                                                   {"l", 320, "777"},
                                                   {"xl", 384, "1119"}})
      p.preset(name, std::string("EDM2, ImageNet 512 in latents 64 x 64: ") + millions + " M",
               [this, channels = channels] {
                 channels_ = channels;
                 classes_ = 1000;
               });
  }
  void check() const override {
    if (multipliers_.empty())
      throw Error("`multipliers` needs one number a resolution, such as [1, 2, 3, 4]");
    for (const std::int64_t m : multipliers_)
      if (channels_ * m % head_channels_)
        throw Error("attention of width " + std::to_string(channels_ * m) +
                    " cannot be cut into heads of " + std::to_string(head_channels_) +
                    "; see `head_channels`");
  }
  void prepare(const Setting& setting) override {
    nn::expect_halvings(setting.shape, levels() - 1, "multipliers");
    nn::Weights w(setting.options);
    build(w, setting.shape[0], setting.parts * setting.shape[0], setting.shape[1]);
    parameters_ = w.list;
  }
  NamedTensors parameters() override { return parameters_; }
  std::vector<ConditionType> conditions() const override {
    if (classes_ == 0) return {};
    return {class_label(classes_)};
  }
  /// As the paper's code: N(0, 1), but for the phases, which are uniform, and the gains: 0.
  void initialise(const std::string& name, at::Tensor& parameter, Noise& noise) override {
    const c10::NoGradGuard guard;
    constexpr double turn = 6.283185307179586;
    const at::Tensor row = parameter.unsqueeze(0);
    if (name == "emb_fourier.phases")
      parameter.copy_(turn * noise.uniform(row).squeeze(0));
    else if (name == "emb_fourier.freqs")
      parameter.copy_(turn * noise.normal(row).squeeze(0));
    else if (parameter.dim() > 0)
      parameter.copy_(noise.normal(row).squeeze(0));
  }
  void constrain() override {
    for (auto& [name, p] : parameters_)
      if (p.dim() > 1) p.copy_(of_unit_rows(p));
  }

  at::Tensor forward(const Input& in) override {
    const at::Tensor angles = in.time.unsqueeze(1) * frequencies_ + phases_;
    at::Tensor e = emb_noise_(angles.cos() * std::sqrt(2.0));
    if (emb_label_) {  // without a label the vector is 0
      const at::Tensor& label = in.condition.at("label");
      const at::Tensor classes = at::arange(classes_, label.options());
      const at::Tensor vectors = (label.unsqueeze(1) == classes).to(e.scalar_type()) *
                                 std::sqrt(static_cast<double>(classes_));
      e = mixed(e, (*emb_label_)(vectors), 0.5);
    }
    e = activated(e);
    at::Tensor h = in_(at::cat({in.x, at::ones_like(in.x.narrow(1, 0, 1))}, 1));
    std::vector<at::Tensor> skips{h};
    for (const Block& block : encoder_) skips.push_back(h = block(h, e, in.noise));
    for (const auto& [block, joins] : decoder_) {
      if (joins) {
        h = joined(h, skips.back());
        skips.pop_back();
      }
      h = block(h, e, in.noise);
    }
    return out_(h, out_gain_);
  }

 private:
  std::int64_t levels() const { return static_cast<std::int64_t>(multipliers_.size()); }
  bool attends(std::int64_t side) const {
    return std::find(attention_.begin(), attention_.end(), side) != attention_.end();
  }

  void build(nn::Weights& w, std::int64_t image_channels, std::int64_t answered,
             std::int64_t side) {
    const std::int64_t most = *std::max_element(multipliers_.begin(), multipliers_.end());
    std::int64_t width = channels_ * multipliers_[0];
    const Shape shape{channels_ * most, head_channels_, dropout_};
    frequencies_ = w.fixed("emb_fourier.freqs", {width});
    phases_ = w.fixed("emb_fourier.phases", {width});
    emb_noise_ = Map(w, "emb_noise", width, shape.embedding);
    emb_label_.reset();
    if (classes_ > 0) emb_label_.emplace(w, "emb_label", classes_, shape.embedding);
    const auto at = [&](std::int64_t level) {
      const std::string size = std::to_string(side >> level);
      return size + "x" + size + "_";
    };
    in_ = Map(w, "enc." + at(0) + "conv", image_channels + 1, width, 3);
    encoder_.clear();
    decoder_.clear();
    std::vector<std::int64_t> skips{width};
    for (std::int64_t l = 0; l < levels(); ++l) {
      const std::string n = "enc." + at(l);
      if (l > 0) {
        encoder_.emplace_back(w, n + "down", width, width, true, shape, Resample::down);
        skips.push_back(width);
      }
      for (std::int64_t b = 0; b < blocks_; ++b) {
        const std::int64_t own = channels_ * multipliers_[l];
        encoder_.emplace_back(w, n + "block" + std::to_string(b), width, own, true, shape,
                              Resample::keep, attends(side >> l));
        skips.push_back(width = own);
      }
    }
    const auto decode = [&](const std::string& n, std::int64_t in, std::int64_t own, bool joins,
                            bool attention, Resample resample = Resample::keep) {
      decoder_.emplace_back(Block(w, "dec." + n, in, own, false, shape, resample, attention),
                            joins);
    };
    for (std::int64_t l = levels() - 1; l >= 0; --l) {
      if (l + 1 == levels()) {
        decode(at(l) + "in0", width, width, false, true);
        decode(at(l) + "in1", width, width, false, false);
      } else {
        decode(at(l) + "up", width, width, false, false, Resample::up);
      }
      for (std::int64_t b = 0; b <= blocks_; ++b) {
        const std::int64_t own = channels_ * multipliers_[l];
        decode(at(l) + "block" + std::to_string(b), width + skips.back(), own, true,
               attends(side >> l));
        skips.pop_back();
        width = own;
      }
    }
    out_gain_ = w.add("out_gain", {});
    out_ = Map(w, "out_conv", width, answered, 3);
  }

  std::int64_t channels_ = 128, blocks_ = 3, head_channels_ = 64, classes_ = 0;
  std::vector<std::int64_t> multipliers_{1, 2, 3, 4}, attention_{16, 8};
  double dropout_ = 0;
  at::Tensor frequencies_, phases_, out_gain_;
  Map emb_noise_, in_, out_;
  std::optional<Map> emb_label_;
  std::vector<Block> encoder_;
  std::vector<std::pair<Block, bool>> decoder_;  // and whether it takes a skip
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(Edm2UNet, network, "edm2-unet", "1.0.0",
                "magnitude-preserving U-Net of EDM2 (Karras et al. 2024)")
