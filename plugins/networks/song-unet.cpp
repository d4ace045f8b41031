#include <c10/core/GradMode.h>
#include <scorelab/nn.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

enum class Resample { none, down, up };

/// A separable low-pass filter, with which images are halved and doubled (Zhang 2019).
class Filter {
 public:
  Filter() = default;
  /// `taps`: of one direction, as [1, 3, 3, 1].
  Filter(const std::vector<std::int64_t>& taps, const at::TensorOptions& options)
      : pad_((static_cast<std::int64_t>(taps.size()) - 1) / 2) {
    const at::Tensor line = at::tensor(taps, at::kDouble), square = at::outer(line, line);
    kernel_ = (square / square.sum()).unsqueeze(0).unsqueeze(0).to(options);
  }
  at::Tensor down(const at::Tensor& x, std::int64_t pad) const {
    const std::int64_t c = x.size(1);
    return at::conv2d(x, of(c), {}, {2, 2}, {pad, pad}, {1, 1}, c);
  }
  at::Tensor up(const at::Tensor& x) const {
    const std::int64_t c = x.size(1);
    return at::conv_transpose2d(x, 4 * of(c), {}, {2, 2}, {pad_, pad_}, {0, 0}, c, {1, 1});
  }
  at::Tensor apply(const at::Tensor& x, Resample how) const {
    if (how == Resample::down) return down(x, pad_);
    return how == Resample::up ? up(x) : x;
  }
  std::int64_t pad() const { return pad_; }

 private:
  at::Tensor of(std::int64_t channels) const {
    return kernel_.expand({channels, 1, kernel_.size(2), kernel_.size(3)});
  }
  std::int64_t pad_ = 0;
  at::Tensor kernel_;
};

/// What all parts of the network share.
struct Common {
  Filter filter;
  std::int64_t embedding = 0;
  double dropout = 0;
};

nn::GroupNorm norm(nn::Weights& w, const std::string& name, std::int64_t channels) {
  const std::int64_t groups = std::min<std::int64_t>(32, channels / 4);
  if (channels % groups)
    throw Error("a norm of " + std::to_string(channels) + " channels cannot have " +
                std::to_string(groups) +
                " groups; take a multiple of 32 for `channels`, or of 4 where no width is above "
                "128, those on the way up included");
  return {w, name, groups, channels};
}
at::Tensor normalised(const nn::GroupNorm& n, const at::Tensor& x) {
  return at::group_norm(x, n.groups, n.weight, n.bias, 1e-6);
}

/// Two convolutions with group norm and SiLU, the embedding added between them; attention with one
/// head behind them. The sums with the inputs are scaled by sqrt(1/2).
struct Block {
  Block(nn::Weights& w, const std::string& n, std::int64_t in, std::int64_t out,
        const Common& common, Resample resample, bool attends)
      : norm0(norm(w, n + ".norm0", in)),
        conv0(w, n + ".conv0", in, out, 3),
        affine(w, n + ".affine", common.embedding, out),
        norm1(norm(w, n + ".norm1", out)),
        conv1(w, n + ".conv1", out, out, 3),
        resample(resample) {
    if (in != out || resample != Resample::none) skip.emplace(w, n + ".skip", in, out, 1);
    if (!attends) return;
    norm2 = norm(w, n + ".norm2", out);
    qkv.emplace(w, n + ".qkv", out, 3 * out, 1);
    proj.emplace(w, n + ".proj", out, out, 1);
  }
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& e, const Common& common,
                        Noise* noise) const {
    const auto resampled = [&](const at::Tensor& y) { return common.filter.apply(y, resample); };
    at::Tensor h = conv0(resampled(at::silu(normalised(norm0, x))));
    h = at::silu(normalised(norm1, h + affine(e).unsqueeze(-1).unsqueeze(-1)));
    h = conv1(nn::dropout(h, common.dropout, noise));
    h = (h + (skip ? (*skip)(resampled(x)) : x)) * (std::numbers::sqrt2 / 2);
    return qkv ? (attended(h) + h) * (std::numbers::sqrt2 / 2) : h;
  }
  at::Tensor attended(const at::Tensor& h) const {
    const std::int64_t b = h.size(0), c = h.size(1), height = h.size(2), width = h.size(3);
    // a channel's rows of q, k and v lie together
    const at::Tensor all = (*qkv)(normalised(norm2, h)).view({b, 1, c, 3, height * width});
    const auto part = [&](std::int64_t i) { return all.select(3, i).transpose(2, 3); };
    const at::Tensor y = nn::attention(part(0), part(1), part(2));  // [B, 1, HW, C]
    return (*proj)(y.transpose(2, 3).reshape({b, c, height, width}));
  }

  nn::GroupNorm norm0;
  nn::Conv2d conv0;
  nn::Linear affine;
  nn::GroupNorm norm1;
  nn::Conv2d conv1;
  std::optional<nn::Conv2d> skip;
  nn::GroupNorm norm2;
  std::optional<nn::Conv2d> qkv, proj;
  Resample resample;
};

/// The NCSN++ and DDPM++ of Song et al. 2021, as Karras et al. 2022 (EDM) write them: by default
/// DDPM++ for CIFAR-10. Both papers' code begins with the same distribution of weights and gives
/// the same function. Parameters have the names of EDM's code (docs/checkpoints.md). The networks
/// take the scheduler's conditioning as it is, and their answer is not divided by sigma.
class SongUNet final : public Network {
 public:
  void params(Params& p) override {
    p("channels", channels_, "channels at the first resolution").range(4, 4096);
    p("multipliers", multipliers_,
      "of the channels, one a resolution; each next one is half as wide")
        .range(1, 64);
    p("blocks", blocks_, "residual blocks a resolution on the way down; one more on the way up")
        .range(1, 32);
    p("attention", attention_,
      "resolutions (pixels a side) with self-attention, beside the middle; those that do not "
      "occur have no effect")
        .range(1, 4096);
    p("embedding", embedding_,
      "of the time: sines and cosines of geometric frequencies, or of frequencies drawn once")
        .one_of({"positional", "fourier"});
    p("embedding_features", features_, "of the time's sines and cosines, in units of `channels`")
        .range(1, 64);
    p("encoder", encoder_,
      "how the smaller images enter the way down: not, added (`skip`), or through convolutions "
      "(`residual`)")
        .one_of({"standard", "skip", "residual"});
    p("decoder", decoder_, "the answer: of the last resolution, or a sum over all (`skip`)")
        .one_of({"standard", "skip"});
    p("filter", filter_, "taps of the low-pass filter that halves and doubles images")
        .range(1, 1000);
    p("dropout", dropout_, "rate in the residual blocks, in training").range(0, 0.95);
    p("classes", classes_,
      "number of class labels it takes, added to the time embedding; 0: it takes none")
        .range(0, 1e6);
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.needs("images", "it convolves over height and width");
    p.gives("trains");
    p.gives("variance");
    p.gives("second-order");
    presets(p);
  }
  void check() const override {
    if (channels_ % 4)
      throw Error("`channels` must be a multiple of 4: a group of a norm has 4 channels or more");
    if (multipliers_.empty())
      throw Error("`multipliers` needs one number a resolution, such as [1, 2, 2, 2]");
    if (filter_.empty() || filter_.size() % 2)
      throw Error("`filter` needs an even number of taps, such as [1, 1] or [1, 3, 3, 1]");
  }
  void prepare(const Setting& setting) override {
    nn::expect_halvings(setting.shape, static_cast<std::int64_t>(multipliers_.size()) - 1,
                        "multipliers");
    build(setting.options, setting.shape[0], setting.parts * setting.shape[0], setting.shape[1]);
  }
  NamedTensors parameters() override { return parameters_; }
  std::vector<ConditionType> conditions() const override {
    if (classes_ == 0) return {};
    return {class_label(classes_)};
  }

  /// As both papers' code: uniform with the variance 2 / (fan-in + fan-out), 1e-10 times that where
  /// a residual or the answer ends, 0.2 times for q, k and v; biases 0; frequencies N(0, 16^2).
  void initialise(const std::string& name, at::Tensor& parameter, Noise& noise) override {
    const c10::NoGradGuard guard;
    if (name == "map_noise.freqs") {
      parameter.copy_(16 * noise.normal(parameter.unsqueeze(0)).squeeze(0));
      return;
    }
    if (parameter.dim() < 2) return;
    const bool ends = name.ends_with(".conv1.weight") || name.ends_with(".proj.weight") ||
                      name.ends_with("_aux_conv.weight");
    const double scale = ends ? 1e-5 : name.ends_with(".qkv.weight") ? std::sqrt(0.2) : 1;
    const std::int64_t fans =
        parameter.numel() / parameter.size(0) + parameter.numel() / parameter.size(1);
    parameter.copy_((noise.uniform(parameter.unsqueeze(0)).squeeze(0) * 2 - 1) *
                    (scale * std::sqrt(6 / static_cast<double>(fans))));
  }

  at::Tensor forward(const Input& in) override {
    const at::Tensor e = embed(in);
    std::vector<at::Tensor> skips;
    const at::Tensor deepest = encode(in, e, skips);
    return decode(deepest, e, std::move(skips), in.noise);
  }

 private:
  /// One resolution on the way down: how it begins, and its blocks.
  struct Down {
    std::optional<nn::Conv2d> first;  ///< of the image
    std::optional<Block> half;
    std::optional<nn::Conv2d> aux;  ///< of the smaller image, or of what came of it
    std::vector<Block> blocks;
  };
  /// One resolution on the way up; the deepest begins with the middle.
  struct Up {
    std::vector<Block> first, blocks;
    std::optional<nn::GroupNorm> norm;
    std::optional<nn::Conv2d> answer;
  };

  void presets(Params& p) {
    p.preset("ddpmpp-cifar10", "DDPM++ of score-SDE, CIFAR-10: 61.8 M parameters",
             [this] { dropout_ = 0.1; });
    p.preset("ddpmpp-deep-cifar10", "DDPM++ deep of score-SDE, CIFAR-10: 106.6 M", [this] {
      dropout_ = 0.1;
      blocks_ = 8;
    });
    p.preset("ncsnpp-cifar10", "NCSN++ of score-SDE, CIFAR-10: 62.8 M", [this] { ncsnpp(); });
    p.preset("ncsnpp-deep-cifar10", "NCSN++ deep of score-SDE, CIFAR-10: 107.6 M", [this] {
      ncsnpp();
      blocks_ = 8;
    });
    p.preset("ncsnpp-celebahq256", "NCSN++ of score-SDE, CelebA-HQ 256 x 256: 65.6 M", [this] {
      ncsnpp();
      multipliers_ = {1, 1, 2, 2, 2, 2, 2};
      blocks_ = 2;
      encoder_ = decoder_ = "skip";
      dropout_ = 0;
    });
    p.preset("edm-ddpmpp-cifar10", "DDPM++ of EDM, CIFAR-10: 55.7 M", [this] {
      multipliers_ = {2, 2, 2};
      dropout_ = 0.13;
    });
    p.preset("edm-ncsnpp-cifar10", "NCSN++ of EDM, CIFAR-10: 56.4 M", [this] {
      ncsnpp();
      multipliers_ = {2, 2, 2};
      dropout_ = 0.13;
    });
  }
  void ncsnpp() {
    embedding_ = "fourier";
    features_ = 2;
    encoder_ = "residual";
    filter_ = {1, 3, 3, 1};
    dropout_ = 0.1;
  }

  at::Tensor embed(const Input& in) const {
    at::Tensor e;
    if (frequencies_.defined()) {
      const at::Tensor angles = in.time.unsqueeze(1) * (2 * std::numbers::pi * frequencies_);
      e = at::cat({at::sin(angles), at::cos(angles)}, 1);
    } else {
      e = nn::time_embedding(in.time, features_ * channels_);
    }
    if (classes_ > 0) {
      const at::Tensor& label = in.condition.at("label");
      const at::Tensor known = (label >= 0).to(e.scalar_type()).unsqueeze(1);
      const at::Tensor one_hot = at::one_hot(label.clamp_min(0), classes_).to(e.scalar_type());
      e = e + map_label_(one_hot * known * std::sqrt(static_cast<double>(classes_)));
    }
    return at::silu(map_layer1_(at::silu(map_layer0_(e))));
  }

  at::Tensor encode(const Input& in, const at::Tensor& e, std::vector<at::Tensor>& skips) const {
    at::Tensor h, aux = in.x;
    for (const Down& level : down_) {
      if (level.first) {
        h = (*level.first)(in.x);
      } else {
        h = (*level.half)(h, e, common_, in.noise);
        if (encoder_ == "skip") {
          aux = common_.filter.down(aux, common_.filter.pad());
          h = h + (*level.aux)(aux);
        } else if (encoder_ == "residual") {
          // the convolution comes before the filter, and both paddings before the convolution
          const nn::Conv2d& conv = *level.aux;
          const std::int64_t pad = 1 + common_.filter.pad();
          aux = common_.filter.down(at::conv2d(aux, conv.weight, {}, {1, 1}, {pad, pad}), 0);
          h = aux = (h + aux + conv.bias.view({-1, 1, 1})) * (std::numbers::sqrt2 / 2);
        }
      }
      skips.push_back(h);
      for (const Block& block : level.blocks) skips.push_back(h = block(h, e, common_, in.noise));
    }
    return h;
  }

  at::Tensor decode(at::Tensor h, const at::Tensor& e, std::vector<at::Tensor> skips,
                    Noise* noise) const {
    at::Tensor answer;
    for (const Up& level : up_) {
      for (const Block& block : level.first) h = block(h, e, common_, noise);
      for (const Block& block : level.blocks) {
        h = block(at::cat({h, skips.back()}, 1), e, common_, noise);
        skips.pop_back();
      }
      if (answer.defined() && decoder_ == "skip") answer = common_.filter.up(answer);
      if (!level.norm) continue;
      const at::Tensor own = (*level.answer)(at::silu(normalised(*level.norm, h)));
      answer = answer.defined() ? answer + own : own;
    }
    return answer;
  }

  void build(const at::TensorOptions& options, std::int64_t image_channels, std::int64_t answered,
             std::int64_t side) {
    nn::Weights w(options);
    common_ = {Filter(filter_, options), 4 * channels_, dropout_};
    const std::int64_t features = features_ * channels_;
    frequencies_ =
        embedding_ == "fourier" ? w.fixed("map_noise.freqs", {features / 2}) : at::Tensor();
    if (classes_ > 0) map_label_ = nn::Linear(w, "map_label", classes_, features);
    map_layer0_ = nn::Linear(w, "map_layer0", features, 4 * channels_);
    map_layer1_ = nn::Linear(w, "map_layer1", 4 * channels_, 4 * channels_);
    std::vector<std::int64_t> skips;
    build_down(w, image_channels, side, skips);
    build_up(w, answered, side, std::move(skips));
    parameters_ = w.list;
  }

  static std::string level_name(const std::string& way, std::int64_t side) {
    return way + "." + std::to_string(side) + "x" + std::to_string(side) + "_";
  }
  bool attends(std::int64_t side) const {
    return std::find(attention_.begin(), attention_.end(), side) != attention_.end();
  }

  /// `skips`: the widths of what the way up takes.
  void build_down(nn::Weights& w, std::int64_t image_channels, std::int64_t side,
                  std::vector<std::int64_t>& skips) {
    std::int64_t width = channels_, aux = image_channels;
    down_.clear();
    for (std::size_t l = 0; l < multipliers_.size(); ++l) {
      const std::string n = level_name("enc", side >> l);
      Down& level = down_.emplace_back();
      if (l == 0) {
        level.first.emplace(w, n + "conv", image_channels, width, 3);
      } else {
        level.half.emplace(w, n + "down", width, width, common_, Resample::down, false);
        if (encoder_ == "skip") {
          level.aux.emplace(w, n + "aux_skip", aux, width, 1);
        } else if (encoder_ == "residual") {
          level.aux.emplace(w, n + "aux_residual", aux, width, 3);
          aux = width;
        }
      }
      skips.push_back(width);
      for (std::int64_t b = 0; b < blocks_; ++b) {
        const std::int64_t in = width;
        width = channels_ * multipliers_[l];
        level.blocks.emplace_back(w, n + "block" + std::to_string(b), in, width, common_,
                                  Resample::none, attends(side >> l));
        skips.push_back(width);
      }
    }
  }

  void build_up(nn::Weights& w, std::int64_t answered, std::int64_t side,
                std::vector<std::int64_t> skips) {
    std::int64_t width = skips.back();
    up_.clear();
    for (std::size_t l = multipliers_.size(); l-- > 0;) {
      const std::string n = level_name("dec", side >> l);
      Up& level = up_.emplace_back();
      if (l + 1 == multipliers_.size()) {
        level.first.emplace_back(w, n + "in0", width, width, common_, Resample::none, true);
        level.first.emplace_back(w, n + "in1", width, width, common_, Resample::none, false);
      } else {
        level.first.emplace_back(w, n + "up", width, width, common_, Resample::up, false);
      }
      for (std::int64_t b = 0; b <= blocks_; ++b) {
        const std::int64_t in = width + skips.back();
        skips.pop_back();
        width = channels_ * multipliers_[l];
        level.blocks.emplace_back(w, n + "block" + std::to_string(b), in, width, common_,
                                  Resample::none, b == blocks_ && attends(side >> l));
      }
      if (decoder_ != "skip" && l > 0) continue;
      level.norm.emplace(norm(w, n + "aux_norm", width));
      level.answer.emplace(w, n + "aux_conv", width, answered, 3);
    }
  }

  std::int64_t channels_ = 128, blocks_ = 4, features_ = 1, classes_ = 0;
  std::vector<std::int64_t> multipliers_{1, 2, 2, 2}, attention_{16}, filter_{1, 1};
  std::string embedding_ = "positional", encoder_ = "standard", decoder_ = "standard";
  double dropout_ = 0;
  Common common_;
  at::Tensor frequencies_;
  nn::Linear map_label_, map_layer0_, map_layer1_;
  std::vector<Down> down_;
  std::vector<Up> up_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(SongUNet, network, "song-unet", "1.0.0",
                "U-Net of score-SDE and EDM: NCSN++ and DDPM++ (Song et al. 2021)")
