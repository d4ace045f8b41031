#include <c10/core/GradMode.h>
#include <scorelab/nn.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

struct GroupNorm {
  GroupNorm() = default;
  GroupNorm(nn::Weights& w, const std::string& name, std::int64_t groups, std::int64_t channels)
      : weight(w.add(name + ".weight", {channels})),
        bias(w.add(name + ".bias", {channels})),
        groups(groups) {}
  at::Tensor operator()(const at::Tensor& x) const {
    return at::group_norm(x, groups, weight, bias, 1e-6);
  }
  at::Tensor weight, bias;
  std::int64_t groups = 1;
};

/// What a block draws and whether its activations are kept for the backward pass.
struct Mode {
  double dropout;
  Noise* noise;
  bool recompute;
};

/// Two convolutions with group norm and SiLU; the time embedding is added between them.
struct ResBlock {
  ResBlock(nn::Weights& w, const std::string& n, std::int64_t in, std::int64_t out,
           std::int64_t time, std::int64_t groups)
      : norm1(w, n + ".norm1", groups, in),
        norm2(w, n + ".norm2", groups, out),
        conv1(w, n + ".conv1", in, out, 3),
        conv2(w, n + ".conv2", out, out, 3),
        temb(w, n + ".time_emb_proj", time, out) {
    if (in != out) shortcut.emplace(w, n + ".conv_shortcut", in, out, 1);
  }
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& time, const Mode& mode) const {
    std::vector<at::Tensor> inputs{x, time};
    if (mode.noise && mode.dropout > 0)
      inputs.push_back(nn::dropout(
          at::ones({x.size(0), conv1.weight.size(0), x.size(2), x.size(3)}, norm1.weight.options()),
          mode.dropout, mode.noise));
    if (!mode.recompute) return run(inputs);
    return nn::recomputed([this](const auto& in) { return run(in); }, inputs, weights());
  }
  /// Of x, the time and, with dropout, the factors.
  at::Tensor run(const std::vector<at::Tensor>& in) const {
    at::Tensor h = conv1(at::silu(norm1(in[0]))) + temb(in[1]).unsqueeze(-1).unsqueeze(-1);
    h = at::silu(norm2(h));
    h = conv2(in.size() > 2 ? h * in[2] : h);
    return h + (shortcut ? (*shortcut)(in[0]) : in[0]);
  }
  std::vector<at::Tensor> weights() const {
    std::vector<at::Tensor> out{norm1.weight, norm1.bias,   norm2.weight, norm2.bias,  conv1.weight,
                                conv1.bias,   conv2.weight, conv2.bias,   temb.weight, temb.bias};
    if (shortcut) out.insert(out.end(), {shortcut->weight, shortcut->bias});
    return out;
  }
  GroupNorm norm1, norm2;
  nn::Conv2d conv1, conv2;
  nn::Linear temb;
  std::optional<nn::Conv2d> shortcut;
};

/// Self-attention over the pixels, with one head.
struct Attention {
  Attention(nn::Weights& w, const std::string& n, std::int64_t channels, std::int64_t groups)
      : norm(w, n + ".group_norm", groups, channels),
        q(w, n + ".to_q", channels, channels),
        k(w, n + ".to_k", channels, channels),
        v(w, n + ".to_v", channels, channels),
        out(w, n + ".to_out.0", channels, channels) {}
  at::Tensor operator()(const at::Tensor& x, const Mode& mode) const {
    if (!mode.recompute) return run(x);
    return nn::recomputed([this](const auto& in) { return run(in[0]); }, {x},
                          {norm.weight, norm.bias, q.weight, q.bias, k.weight, k.bias, v.weight,
                           v.bias, out.weight, out.bias});
  }
  at::Tensor run(const at::Tensor& x) const {
    const at::Tensor h = norm(x).flatten(2).transpose(1, 2);  // [B, HW, C]
    const auto head = [](const at::Tensor& y) { return y.unsqueeze(1); };
    const at::Tensor y = nn::attention(head(q(h)), head(k(h)), head(v(h))).squeeze(1);
    return x + out(y).transpose(1, 2).reshape(x.sizes());
  }
  GroupNorm norm;
  nn::Linear q, k, v, out;
};

/// Half the height and width. The edge is padded at the right and at the bottom alone, as by
/// TensorFlow's "SAME" padding.
struct Downsample {
  Downsample(nn::Weights& w, const std::string& n, std::int64_t channels)
      : weight(w.add(n + ".conv.weight", {channels, channels, 3, 3})),
        bias(w.add(n + ".conv.bias", {channels})) {}
  at::Tensor operator()(const at::Tensor& x) const {
    return at::conv2d(at::constant_pad_nd(x, {0, 1, 0, 1}), weight, bias, 2);
  }
  at::Tensor weight, bias;
};

/// One resolution, down or up: residual blocks, each followed by attention or none, and a change of
/// resolution at its end.
struct Level {
  std::vector<ResBlock> blocks;
  std::vector<Attention> attentions;
  std::optional<Downsample> down;
  std::optional<nn::Conv2d> up;
  at::Tensor operator()(at::Tensor h, std::size_t block, const at::Tensor& time,
                        const Mode& mode) const {
    h = blocks[block](h, time, mode);
    return attentions.empty() ? h : attentions[block](h, mode);
  }
};

/// The U-Net of Ho et al. 2020 (DDPM, appendix B): by default that of CIFAR-10, 35.7 M parameters.
/// Parameters have the names of diffusers' UNet2DModel: its checkpoints load as they are where
/// their configuration is DDPM's (docs/checkpoints.md says which settings).
class DdpmUNet final : public Network {
 public:
  void params(Params& p) override {
    p("channels", channels_, "channels at the first resolution").range(4, 4096);
    p("multipliers", multipliers_,
      "of the channels, one a resolution; each next one is half as wide")
        .range(1, 64);
    p("blocks", blocks_, "residual blocks a resolution on the way down; one more on the way up")
        .range(1, 16);
    p("attention", attention_,
      "resolutions (pixels a side) with self-attention, beside the middle; they must occur, but "
      "for the paper's 16")
        .range(1, 4096);
    p("groups", groups_, "of the group norms").range(1, 256);
    p("dropout", dropout_,
      "rate in the residual blocks, in training; the paper's CIFAR-10 network has 0.1")
        .range(0, 0.95);
    p("classes", classes_,
      "number of class labels it takes, as vectors added to the time embedding; 0: none")
        .range(0, 1e6);
    p("recompute", recompute_,
      "each block's activations are computed again in the backward pass: less memory, more time");
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.needs("images", "it convolves over height and width");
    p.gives("trains");
    p.gives("variance");
    p.gives("second-order").when("recompute", {"false"});
    p.preset("cifar10", "CIFAR-10: 35.7 M parameters", [this] { dropout_ = 0.1; });
    p.preset("lsun256", "LSUN and CelebA-HQ, 256 x 256: 113.7 M",
             [this] { multipliers_ = {1, 1, 2, 2, 4, 4}; });
  }
  void check() const override {
    if (channels_ % 2)
      throw Error("`channels` must be even: as many sines as cosines in the time embedding");
    if (multipliers_.empty())
      throw Error("`multipliers` needs one number a resolution, such as [1, 2, 2, 2]");
    if (channels_ % groups_)
      throw Error("`groups` = " + std::to_string(groups_) +
                  " does not divide `channels` = " + std::to_string(channels_) +
                  "; every width of this network is a multiple of the latter");
  }
  void prepare(const Setting& setting) override {
    const auto& shape = setting.shape;
    const auto times = static_cast<std::int64_t>(multipliers_.size()) - 1;
    nn::expect_halvings(shape, times, "multipliers");
    for (const std::int64_t at : attention_) {
      bool occurs = false;
      for (std::int64_t l = 0; l <= times; ++l) occurs = occurs || shape[1] >> l == at;
      if (!occurs && at != 16)
        throw Error("`attention` names " + std::to_string(at) +
                    ", a resolution that does not occur: images of " + std::to_string(shape[1]) +
                    " pixels are halved down to " + std::to_string(shape[1] >> times));
    }
    build(setting.options, shape[0], setting.parts * shape[0], shape[1]);
  }
  NamedTensors parameters() override { return parameters_; }
  std::vector<ConditionType> conditions() const override {
    if (classes_ == 0) return {};
    return {class_label(classes_)};
  }

  /// The first weights of Ho et al.'s code: uniform of variance 1/(mean of fan-in and fan-out);
  /// biases, and the last map of each residual and attention block and of the network, almost 0.
  void initialise(const std::string& name, at::Tensor& parameter, Noise& noise) override {
    if (parameter.dim() < 2) return;
    const c10::NoGradGuard guard;
    const auto ends = [&](const char* end) { return name.ends_with(end); };
    if (ends("class_embedding.weight")) return Network::initialise(name, parameter, noise);
    const bool last = ends("conv2.weight") || ends("to_out.0.weight") || name == "conv_out.weight";
    const auto count = static_cast<double>(parameter.numel()),
               out = static_cast<double>(parameter.size(0)),
               in = static_cast<double>(parameter.size(1));
    const double kernel = count / (out * in), fan = kernel * (in + out) / 2;
    const double bound = std::sqrt(3 * (last ? 1e-10 : 1.0) / fan);
    parameter.copy_((noise.uniform(parameter.unsqueeze(0)).squeeze(0) * 2 - 1) * bound);
  }

  at::Tensor forward(const Input& in) override {
    at::Tensor time = time2_(at::silu(time1_(nn::time_embedding(in.time, channels_))));
    if (classes_ > 0) time = time + class_(in);
    time = at::silu(time);
    const Mode mode{dropout_, in.noise, recompute_};
    at::Tensor h = in_(in.x);
    std::vector<at::Tensor> skips{h};
    for (const Level& level : down_) {
      for (std::size_t b = 0; b < level.blocks.size(); ++b)
        skips.push_back(h = level(h, b, time, mode));
      if (level.down) skips.push_back(h = (*level.down)(h));
    }
    h = middle_[0](h, time, mode);
    h = middle_[1]((*middle_attention_)(h, mode), time, mode);
    for (const Level& level : up_) {
      for (std::size_t b = 0; b < level.blocks.size(); ++b, skips.pop_back())
        h = level(at::cat({h, skips.back()}, 1), b, time, mode);
      if (level.up) h = (*level.up)(h.repeat_interleave(2, 2).repeat_interleave(2, 3));
    }
    return out_(at::silu(norm_(h)));
  }

 private:
  void build(const at::TensorOptions& options, std::int64_t image_channels, std::int64_t answered,
             std::int64_t side) {
    nn::Weights w(options);
    const std::int64_t time = 4 * channels_;
    in_ = nn::Conv2d(w, "conv_in", image_channels, channels_, 3);
    time1_ = nn::Linear(w, "time_embedding.linear_1", channels_, time);
    time2_ = nn::Linear(w, "time_embedding.linear_2", time, time);
    if (classes_ > 0) class_ = nn::ClassEmbedding(w, "class_embedding", classes_, time);
    const auto levels = static_cast<std::int64_t>(multipliers_.size());
    const auto attends = [&](std::int64_t l) {
      return std::find(attention_.begin(), attention_.end(), side >> l) != attention_.end();
    };
    const auto add = [&](Level& level, const std::string& n, std::int64_t in, std::int64_t out,
                         bool attend) {
      const std::string b = std::to_string(level.blocks.size());
      level.blocks.emplace_back(w, n + ".resnets." + b, in, out, time, groups_);
      if (attend) level.attentions.emplace_back(w, n + ".attentions." + b, out, groups_);
    };
    down_.clear();
    up_.clear();
    middle_.clear();
    std::vector<std::int64_t> skips{channels_};
    std::int64_t width = channels_;
    for (std::int64_t l = 0; l < levels; ++l) {
      const std::string n = "down_blocks." + std::to_string(l);
      Level& level = down_.emplace_back();
      for (std::int64_t b = 0; b < blocks_; ++b) {
        add(level, n, width, channels_ * multipliers_[l], attends(l));
        skips.push_back(width = channels_ * multipliers_[l]);
      }
      if (l + 1 == levels) break;
      level.down.emplace(w, n + ".downsamplers.0", width);
      skips.push_back(width);
    }
    middle_.emplace_back(w, "mid_block.resnets.0", width, width, time, groups_);
    middle_attention_.emplace(w, "mid_block.attentions.0", width, groups_);
    middle_.emplace_back(w, "mid_block.resnets.1", width, width, time, groups_);
    for (std::int64_t l = levels - 1; l >= 0; --l) {
      const std::string n = "up_blocks." + std::to_string(levels - 1 - l);
      Level& level = up_.emplace_back();
      for (std::int64_t b = 0; b <= blocks_; ++b, skips.pop_back()) {
        add(level, n, width + skips.back(), channels_ * multipliers_[l], attends(l));
        width = channels_ * multipliers_[l];
      }
      if (l > 0) level.up.emplace(w, n + ".upsamplers.0.conv", width, width, 3);
    }
    norm_ = GroupNorm(w, "conv_norm_out", groups_, width);
    out_ = nn::Conv2d(w, "conv_out", width, answered, 3);
    parameters_ = w.list;
  }

  std::int64_t channels_ = 128, blocks_ = 2, groups_ = 32, classes_ = 0;
  std::vector<std::int64_t> multipliers_{1, 2, 2, 2}, attention_{16};
  double dropout_ = 0;
  bool recompute_ = false;
  nn::Linear time1_, time2_;
  nn::ClassEmbedding class_;
  nn::Conv2d in_, out_;
  std::vector<Level> down_, up_;
  std::vector<ResBlock> middle_;
  std::optional<Attention> middle_attention_;
  GroupNorm norm_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(DdpmUNet, network, "ddpm-unet", "1.0.2",
                "U-Net of DDPM (Ho et al. 2020), 35.7 M parameters for CIFAR-10")
