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

/// [B, features]: cosines, then sines, of t w with w = 10000^(-k / half).
at::Tensor embedded(const at::Tensor& t, std::int64_t features) {
  const std::int64_t half = features / 2;
  const at::Tensor w =
      at::exp(at::arange(half, t.options()) * (-std::log(10000.0) / static_cast<double>(half)));
  const at::Tensor angles = t.unsqueeze(1) * w;
  return at::cat({at::cos(angles), at::sin(angles)}, 1);
}

enum class Resample { none, down, up };

at::Tensor resampled(const at::Tensor& x, Resample how) {
  if (how == Resample::down) return at::avg_pool2d(x, 2);
  if (how == Resample::up) return x.repeat_interleave(2, 2).repeat_interleave(2, 3);
  return x;
}

/// What a block draws and whether its activations are kept for the backward
/// pass.
struct Mode {
  double dropout;
  Noise* noise;
  bool recompute;
};

/// Two convolutions with group norm and SiLU. The embedding is added between
/// them, or with `modulate` scales and shifts what the second norm gives. A
/// change of resolution comes before the first convolution.
struct ResBlock {
  ResBlock(nn::Weights& w, const std::string& n, std::int64_t in, std::int64_t out,
           std::int64_t embedding, std::int64_t groups, bool modulate, Resample resample)
      : norm1(w, n + ".in_layers.0", groups, in),
        conv1(w, n + ".in_layers.2", in, out, 3),
        emb(w, n + ".emb_layers.1", embedding, modulate ? 2 * out : out),
        norm2(w, n + ".out_layers.0", groups, out),
        conv2(w, n + ".out_layers.3", out, out, 3),
        modulate(modulate),
        resample(resample) {
    if (in != out) skip.emplace(w, n + ".skip_connection", in, out, 1);
  }
  /// `e`: the embedding after its SiLU.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& e, const Mode& mode) const {
    std::vector<at::Tensor> inputs{x, e};
    if (mode.noise && mode.dropout > 0) {
      const auto side = [&](std::int64_t n) {
        return resample == Resample::down ? n / 2 : resample == Resample::up ? 2 * n : n;
      };
      const at::Tensor ones =
          at::ones({x.size(0), conv1.weight.size(0), side(x.size(2)), side(x.size(3))},
                   norm1.weight.options());
      inputs.push_back(nn::dropout(ones, mode.dropout, mode.noise));
    }
    if (!mode.recompute) return run(inputs);
    return nn::recomputed([this](const auto& all) { return run(all); }, inputs, weights());
  }
  /// Of x, the embedding and, with dropout, the factors.
  at::Tensor run(const std::vector<at::Tensor>& in) const {
    const at::Tensor x = resampled(in[0], resample);
    at::Tensor h = conv1(resampled(at::silu(norm1(in[0])), resample));
    const at::Tensor e = emb(in[1]).unsqueeze(-1).unsqueeze(-1);
    if (modulate) {
      const auto parts = e.chunk(2, 1);
      h = norm2(h) * (1 + parts[0]) + parts[1];
    } else {
      h = norm2(h + e);
    }
    h = at::silu(h);
    h = conv2(in.size() > 2 ? h * in[2] : h);
    return h + (skip ? (*skip)(x) : x);
  }
  std::vector<at::Tensor> weights() const {
    std::vector<at::Tensor> out{norm1.weight, norm1.bias,   conv1.weight, conv1.bias,   emb.weight,
                                emb.bias,     norm2.weight, norm2.bias,   conv2.weight, conv2.bias};
    if (skip) out.insert(out.end(), {skip->weight, skip->bias});
    return out;
  }
  nn::GroupNorm norm1;
  nn::Conv2d conv1;
  nn::Linear emb;
  nn::GroupNorm norm2;
  nn::Conv2d conv2;
  std::optional<nn::Conv2d> skip;
  bool modulate;
  Resample resample;
};

/// Self-attention over the pixels. The rows of qkv lie head by head, each with
/// q, k and v; or, with `split`, as all q, all k and all v.
struct Attention {
  Attention(nn::Weights& w, const std::string& n, std::int64_t channels, std::int64_t heads,
            std::int64_t groups, bool split)
      : norm(w, n + ".norm", groups, channels),
        qkv_weight(w.add(n + ".qkv.weight", {3 * channels, channels, 1})),
        qkv_bias(w.add(n + ".qkv.bias", {3 * channels})),
        out_weight(w.add(n + ".proj_out.weight", {channels, channels, 1})),
        out_bias(w.add(n + ".proj_out.bias", {channels})),
        heads(heads),
        split(split) {}
  at::Tensor operator()(const at::Tensor& x, const Mode& mode) const {
    if (!mode.recompute) return run(x);
    return nn::recomputed([this](const auto& in) { return run(in[0]); }, {x},
                          {norm.weight, norm.bias, qkv_weight, qkv_bias, out_weight, out_bias});
  }
  at::Tensor run(const at::Tensor& x) const {
    const std::int64_t rows = x.size(0), width = x.size(1), d = width / heads;
    const at::Tensor all = at::conv1d(norm(x).flatten(2), qkv_weight, qkv_bias);  // [B, 3 C, HW]
    const at::Tensor parts = split ? all.view({rows, 3, heads, d, -1}).transpose(1, 2)
                                   : all.view({rows, heads, 3, d, -1});
    const auto part = [&](std::int64_t i) { return parts.select(2, i).transpose(2, 3); };
    const at::Tensor y = nn::attention(part(0), part(1), part(2));  // [B, heads, HW, d]
    const at::Tensor flat = y.transpose(2, 3).reshape({rows, width, -1});
    return x + at::conv1d(flat, out_weight, out_bias).view_as(x);
  }
  nn::GroupNorm norm;
  at::Tensor qkv_weight, qkv_bias, out_weight, out_bias;
  std::int64_t heads;
  bool split;
};

/// A residual block, attention or none, and a change of resolution or none.
struct Block {
  std::optional<ResBlock> res;
  std::optional<Attention> attention;
  std::optional<ResBlock> resampler;
  std::optional<nn::Conv2d> conv;  // after nearest-neighbour upsampling, or of stride 2
  bool up = false;
  at::Tensor operator()(at::Tensor h, const at::Tensor& e, const Mode& mode) const {
    if (res) h = (*res)(h, e, mode);
    if (attention) h = (*attention)(h, mode);
    if (resampler) h = (*resampler)(h, e, mode);
    if (conv) h = (*conv)(up ? resampled(h, Resample::up) : h);
    return h;
  }
};

/// The U-Net of Nichol & Dhariwal 2021 (improved DDPM) and of Dhariwal & Nichol
/// 2021 (ADM): by default that of ADM for ImageNet at 64 x 64, 295.9 M
/// parameters with classes = 1000 and a learned variance. Parameters have the
/// names of the papers' code, so that its checkpoints load as they are
/// (docs/checkpoints.md).
class AdmUNet final : public Network {
 public:
  void params(Params& p) override {
    p("channels", channels_, "channels at the first resolution, before the multipliers")
        .range(4, 4096);
    p("multipliers", multipliers_,
      "of the channels, one a resolution; each next one is half as wide")
        .range(1, 64);
    p("blocks", blocks_, "residual blocks a resolution on the way down; one more on the way up")
        .range(1, 16);
    p("attention", attention_,
      "resolutions (pixels a side) with self-attention, beside the middle; "
      "those that do not occur "
      "have no effect")
        .range(1, 4096);
    p("head_channels", head_channels_, "width of a head of the attention; 0: `heads` says how many")
        .range(0, 4096);
    p("heads", heads_, "heads of the attention").range(1, 256).when("head_channels", {"0"});
    p("qkv", qkv_,
      "order of the rows that make q, k and v: head by head, as improved "
      "DDPM's, or all q, all k, "
      "all v, as ADM's at 64 x 64")
        .one_of({"by-head", "split"});
    p("modulate", modulate_,
      "the embedding scales and shifts the second norm's result; otherwise it "
      "is added before it");
    p("resample", resample_, "how the resolution changes: by a residual block, or a convolution")
        .one_of({"block", "conv"});
    p("groups", groups_, "of the group norms").range(1, 256);
    p("dropout", dropout_, "rate in the residual blocks, in training").range(0, 0.95);
    p("classes", classes_,
      "number of class labels it takes, as vectors added to the time "
      "embedding; without a label none "
      "is added; 0: it takes none")
        .range(0, 1e6);
    p("recompute", recompute_,
      "each block's activations are computed again in the backward pass: less memory, more time");
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.needs("images", "it convolves over height and width");
    p.gives("trains");
    p.gives("variance");
    p.gives("second-order").when("recompute", {"false"});
    presets(p);
  }
  void check() const override {
    if (channels_ % 2)
      throw Error(
          "`channels` must be even: as many sines as cosines in the "
          "time embedding");
    if (multipliers_.empty())
      throw Error("`multipliers` needs one number a resolution, such as [1, 2, 3, 4]");
    if (channels_ % groups_)
      throw Error("`groups` = " + std::to_string(groups_) + " does not divide `channels` = " +
                  std::to_string(channels_) + "; every width is a multiple of the latter");
    for (const std::int64_t m : multipliers_) {
      const std::int64_t by = head_channels_ > 0 ? head_channels_ : heads_;
      if (channels_ * m % by)
        throw Error("attention of width " + std::to_string(channels_ * m) + " cannot be cut into " +
                    (head_channels_ > 0 ? "heads of " + std::to_string(by) + "; see `head_channels`"
                                        : std::to_string(by) + " heads; see `heads`"));
    }
  }
  void prepare(const Setting& setting) override {
    const auto& shape = setting.shape;
    nn::expect_halvings(shape, static_cast<std::int64_t>(multipliers_.size()) - 1, "multipliers");
    build(setting.options, shape[0], setting.parts * shape[0], shape[1]);
  }
  NamedTensors parameters() override { return parameters_; }
  std::vector<ConditionType> conditions() const override {
    if (classes_ == 0) return {};
    return {class_label(classes_)};
  }

  /// As the papers' code: PyTorch's, but 0 for the last map of each residual
  /// and attention block and of the network, and N(0, 1) for the vectors of the
  /// classes.
  void initialise(const std::string& name, at::Tensor& parameter, Noise& noise) override {
    const c10::NoGradGuard guard;
    const bool zero = name.find(".out_layers.3.") != name.npos ||
                      name.find(".proj_out.") != name.npos || name.starts_with("out.2.");
    if (zero)
      parameter.zero_();
    else if (name == "label_emb.weight")
      parameter.copy_(noise.normal(parameter.unsqueeze(0)).squeeze(0));
    else if (const at::Tensor* kernel = kernel_of(name))
      parameter.copy_(
          (noise.uniform(parameter.unsqueeze(0)).squeeze(0) * 2 - 1) /
          std::sqrt(static_cast<double>(kernel->numel()) / static_cast<double>(kernel->size(0))));
    else
      Network::initialise(name, parameter, noise);
  }

  at::Tensor forward(const Input& in) override {
    at::Tensor e = time2_(at::silu(time1_(embedded(in.time, channels_))));
    if (classes_ > 0) {
      const at::Tensor& label = in.condition.at("label");
      const at::Tensor vectors = classes_weight_.index_select(0, label.clamp_min(0));
      e = e + vectors * (label >= 0).to(vectors.scalar_type()).unsqueeze(1);
    }
    e = at::silu(e);
    const Mode mode{dropout_, in.noise, recompute_};
    at::Tensor h = in_(in.x);
    std::vector<at::Tensor> skips{h};
    for (const Block& block : down_) skips.push_back(h = block(h, e, mode));
    for (const Block& block : middle_) h = block(h, e, mode);
    for (const Block& block : up_) {
      h = block(at::cat({h, skips.back()}, 1), e, mode);
      skips.pop_back();
    }
    return out_(at::silu(norm_(h)));
  }

 private:
  void presets(Params& p) {
    p.preset("imagenet64", "ADM, ImageNet 64 x 64: 295.9 M parameters", [this] {
      dropout_ = 0.1;
      classes_ = 1000;
    });
    p.preset("imagenet128", "ADM, ImageNet 128 x 128: 421.5 M", [this] {
      large({1, 1, 2, 3, 4});
      head_channels_ = 0;
      classes_ = 1000;
    });
    p.preset("imagenet256", "ADM, ImageNet 256 x 256: 553.8 M", [this] {
      large({1, 1, 2, 2, 4, 4});
      classes_ = 1000;
    });
    p.preset("lsun256", "ADM, LSUN 256 x 256, without classes: 552.8 M", [this] {
      large({1, 1, 2, 2, 4, 4});
      dropout_ = 0.1;
    });
    p.preset("improved-imagenet64", "improved DDPM, ImageNet 64 x 64, without classes: 121.1 M",
             [this] { improved(); });
    p.preset("improved-cifar10", "improved DDPM, CIFAR-10: 52.5 M", [this] {
      improved();
      multipliers_ = {1, 2, 2, 2};
      dropout_ = 0.3;
    });
  }
  void large(std::vector<std::int64_t> multipliers) {
    channels_ = 256;
    multipliers_ = std::move(multipliers);
    blocks_ = 2;
    qkv_ = "by-head";
  }
  void improved() {
    channels_ = 128;
    attention_ = {16, 8};
    head_channels_ = 0;
    resample_ = "conv";
    modulate_ = true;
    qkv_ = "by-head";
  }

  /// The matrix or kernel whose bias this is; null for the biases of norms.
  const at::Tensor* kernel_of(const std::string& name) const {
    if (!name.ends_with(".bias")) return nullptr;
    const std::string weight = name.substr(0, name.size() - 4) + "weight";
    for (const auto& [other, tensor] : parameters_)
      if (other == weight && tensor.dim() > 1) return &tensor;
    return nullptr;
  }

  ResBlock res(nn::Weights& w, const std::string& name, std::int64_t in, std::int64_t out,
               Resample resample = Resample::none) const {
    return {w, name, in, out, 4 * channels_, groups_, modulate_, resample};
  }
  Attention attention(nn::Weights& w, const std::string& name, std::int64_t width) const {
    const std::int64_t heads = head_channels_ > 0 ? width / head_channels_ : heads_;
    return {w, name, width, heads, groups_, qkv_ == "split"};
  }
  bool attends(std::int64_t side) const {
    return std::find(attention_.begin(), attention_.end(), side) != attention_.end();
  }

  void build(const at::TensorOptions& options, std::int64_t image_channels, std::int64_t answered,
             std::int64_t side) {
    nn::Weights w(options);
    const std::int64_t embedding = 4 * channels_;
    time1_ = nn::Linear(w, "time_embed.0", channels_, embedding);
    time2_ = nn::Linear(w, "time_embed.2", embedding, embedding);
    if (classes_ > 0) classes_weight_ = w.add("label_emb.weight", {classes_, embedding});
    std::int64_t width = channels_ * multipliers_[0];
    in_ = nn::Conv2d(w, "input_blocks.0.0", image_channels, width, 3);
    std::vector<std::int64_t> skips{width};
    width = build_down(w, skips, side);
    middle_.clear();
    Block& first = middle_.emplace_back();
    first.res.emplace(res(w, "middle_block.0", width, width));
    first.attention.emplace(attention(w, "middle_block.1", width));
    middle_.emplace_back().res.emplace(res(w, "middle_block.2", width, width));
    width = build_up(w, std::move(skips), side);
    norm_ = nn::GroupNorm(w, "out.0", groups_, width);
    out_ = nn::Conv2d(w, "out.2", width, answered, 3);
    parameters_ = w.list;
  }

  /// The width at its end. `skips`: the widths of what the way up takes.
  std::int64_t build_down(nn::Weights& w, std::vector<std::int64_t>& skips, std::int64_t side) {
    const auto levels = static_cast<std::int64_t>(multipliers_.size());
    std::int64_t width = skips[0];
    down_.clear();
    for (std::int64_t l = 0; l < levels; ++l) {
      const std::int64_t own = channels_ * multipliers_[l];
      for (std::int64_t b = 0; b < blocks_; ++b) {
        const std::string n = "input_blocks." + std::to_string(skips.size());
        Block& block = down_.emplace_back();
        block.res.emplace(res(w, n + ".0", width, own));
        if (attends(side >> l)) block.attention.emplace(attention(w, n + ".1", own));
        skips.push_back(width = own);
      }
      if (l + 1 == levels) break;
      const std::string n = "input_blocks." + std::to_string(skips.size()) + ".0";
      Block& block = down_.emplace_back();
      if (resample_ == "block")
        block.resampler.emplace(res(w, n, width, width, Resample::down));
      else
        block.conv.emplace(w, n + ".op", width, width, 3, 2);
      skips.push_back(width);
    }
    return width;
  }

  std::int64_t build_up(nn::Weights& w, std::vector<std::int64_t> skips, std::int64_t side) {
    const auto levels = static_cast<std::int64_t>(multipliers_.size());
    std::int64_t width = skips.back();
    up_.clear();
    for (std::int64_t l = levels - 1; l >= 0; --l) {
      const std::int64_t own = channels_ * multipliers_[l];
      for (std::int64_t b = 0; b <= blocks_; ++b) {
        const std::string n = "output_blocks." + std::to_string(up_.size());
        Block& block = up_.emplace_back();
        block.res.emplace(res(w, n + ".0", width + skips.back(), own));
        skips.pop_back();
        width = own;
        if (attends(side >> l)) block.attention.emplace(attention(w, n + ".1", own));
        if (b < blocks_ || l == 0) continue;
        const std::string last = n + (block.attention ? ".2" : ".1");
        if (resample_ == "block")
          block.resampler.emplace(res(w, last, own, own, Resample::up));
        else
          block.conv.emplace(w, last + ".conv", own, own, 3);
        block.up = true;
      }
    }
    return width;
  }

  std::int64_t channels_ = 192, blocks_ = 3, head_channels_ = 64, heads_ = 4, groups_ = 32,
               classes_ = 0;
  std::vector<std::int64_t> multipliers_{1, 2, 3, 4}, attention_{32, 16, 8};
  std::string qkv_ = "split", resample_ = "block";
  bool modulate_ = true, recompute_ = false;
  double dropout_ = 0;
  nn::Linear time1_, time2_;
  at::Tensor classes_weight_;
  nn::Conv2d in_, out_;
  std::vector<Block> down_, middle_, up_;
  nn::GroupNorm norm_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(AdmUNet, network, "adm-unet", "1.0.1",
                "U-Net of improved DDPM and ADM (Dhariwal & Nichol 2021)")
