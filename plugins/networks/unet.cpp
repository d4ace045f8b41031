#include <scorelab/nn.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

/// Two convolutions with group norm and SiLU; the time embedding is added between them (Ho et al.
/// 2020, appendix B).
struct ResBlock {
  ResBlock(nn::Weights& w, const std::string& n, std::int64_t in, std::int64_t out,
           std::int64_t time, std::int64_t groups)
      : norm1(w, n + ".norm1", std::min(groups, in), in),
        norm2(w, n + ".norm2", std::min(groups, out), out),
        conv1(w, n + ".conv1", in, out, 3),
        conv2(w, n + ".conv2", out, out, 3),
        temb(w, n + ".time", time, out) {
    if (in != out) skip = nn::Conv2d(w, n + ".skip", in, out, 1);
  }
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& time, double rate,
                        Noise* noise) const {
    at::Tensor h = conv1(at::silu(norm1(x))) + temb(time).unsqueeze(-1).unsqueeze(-1);
    h = conv2(nn::dropout(at::silu(norm2(h)), rate, noise));
    return h + (skip.weight.defined() ? skip(x) : x);
  }
  nn::GroupNorm norm1, norm2;
  nn::Conv2d conv1, conv2, skip;
  nn::Linear temb;
};

/// Self-attention over the pixels, one head, written out: the fused kernels have no second
/// derivative.
struct Attention {
  Attention(nn::Weights& w, const std::string& n, std::int64_t channels, std::int64_t groups)
      : norm(w, n + ".norm", std::min(groups, channels), channels),
        qkv(w, n + ".qkv", channels, 3 * channels, 1),
        out(w, n + ".out", channels, channels, 1) {}
  at::Tensor operator()(const at::Tensor& x) const {
    const auto parts = qkv(norm(x)).flatten(2).chunk(3, 1);  // each [B, C, HW]
    const at::Tensor weights = at::softmax(
        at::bmm(parts[0].transpose(1, 2), parts[1]) / std::sqrt(static_cast<double>(x.size(1))),
        -1);
    return x + out(at::bmm(parts[2], weights.transpose(1, 2)).view_as(x));
  }
  nn::GroupNorm norm;
  nn::Conv2d qkv, out;
};

/// A small U-Net for images: residual blocks, down and up by two, attention at chosen resolutions.
class UNet final : public Network {
 public:
  void params(Params& p) override {
    p("channels", channels_, "channels at the first resolution").range(4, 4096);
    p("multipliers", multipliers_,
      "of the channels, one a resolution; each next one is half as wide")
        .range(1, 64);
    p("blocks", blocks_, "residual blocks a resolution").range(1, 16);
    p("attention", attention_, "resolutions (pixels a side) with self-attention").range(1, 4096);
    p("groups", groups_, "of the group norms").range(1, 256);
    p("dropout", dropout_, "rate in the residual blocks, in training").range(0, 0.95);
    p("classes", classes_,
      "number of class labels it takes, as vectors added to the time embedding; 0: none")
        .range(0, 1e6);
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.needs("images", "it convolves over height and width");
    p.gives("trains");
    p.gives("variance");
    p.gives("second-order");
  }
  void check() const override {
    if (channels_ % 2)
      throw Error("`channels` must be even: as many sines as cosines in the time embedding");
    if (multipliers_.empty())
      throw Error("`multipliers` needs one number a resolution, such as [1, 2]");
    walk([this](std::size_t, std::int64_t in, std::int64_t out) {
      for (const std::int64_t width : {in, out})
        if (width % groups_in(width) != 0)
          throw Error("`groups` = " + std::to_string(groups_) + " does not divide " +
                      std::to_string(width) +
                      " channels, which a block here has; take a divisor of `channels` = " +
                      std::to_string(channels_));
    });
  }
  void prepare(const Setting& setting) override {
    const auto& shape = setting.shape;
    const auto halvings = static_cast<std::int64_t>(multipliers_.size()) - 1;
    nn::expect_halvings(shape, halvings, "multipliers");
    std::string sides;
    for (std::int64_t l = 0; l <= halvings; ++l)
      sides += (l > 0 ? ", " : "") + std::to_string(shape[1] >> l);
    for (const std::int64_t at : attention_) {
      bool occurs = false;
      for (std::int64_t l = 0; l <= halvings; ++l) occurs = occurs || shape[1] >> l == at;
      if (!occurs)
        throw Error("`attention` names " + std::to_string(at) +
                    ", a resolution that never occurs: images of " + std::to_string(shape[1]) +
                    " x " + std::to_string(shape[2]) + " have " + sides +
                    " pixels a side here; name one of these");
    }
    build(setting.options, shape[0], setting.parts * shape[0], shape[1]);
  }
  NamedTensors parameters() override { return parameters_; }
  std::vector<ConditionType> conditions() const override {
    if (classes_ == 0) return {};
    return {class_label(classes_)};
  }
  at::Tensor forward(const Input& in) override {
    at::Tensor time = time2_(at::silu(time1_(nn::time_embedding(in.time, channels_))));
    if (classes_ > 0) time = time + class_(in);
    time = at::silu(time);
    at::Tensor h = in_(in.x);
    std::vector<at::Tensor> skips{h};
    std::size_t block = 0, att = 0;
    const auto run = [&](bool attend) {
      h = res_[block++](h, time, dropout_, in.noise);
      if (attend) h = attentions_[att++](h);
    };
    const std::size_t levels = multipliers_.size();
    for (std::size_t l = 0; l < levels; ++l) {
      for (std::int64_t b = 0; b < blocks_; ++b) {
        run(attends_[l]);
        skips.push_back(h);
      }
      if (l + 1 < levels) skips.push_back(h = down_[l](h));
    }
    run(attends_[levels - 1]);
    for (std::size_t l = levels; l-- > 0;) {
      for (std::int64_t b = 0; b <= blocks_; ++b) {
        h = at::cat({h, skips.back()}, 1);
        skips.pop_back();
        run(attends_[l]);
      }
      if (l > 0) h = up_[l - 1](h.repeat_interleave(2, 2).repeat_interleave(2, 3));
    }
    return out_(at::silu(norm_(h)));
  }

 private:
  void build(const at::TensorOptions& options, std::int64_t image_channels, std::int64_t answered,
             std::int64_t side) {
    nn::Weights w(options);
    const std::int64_t emb = 4 * channels_;
    time1_ = nn::Linear(w, "time.0", channels_, emb);
    time2_ = nn::Linear(w, "time.1", emb, emb);
    if (classes_ > 0) class_ = nn::ClassEmbedding(w, "class", classes_, emb);
    in_ = nn::Conv2d(w, "in", image_channels, channels_, 3);
    res_.clear();
    attentions_.clear();
    down_.clear();
    up_.clear();
    attends_.clear();
    const std::size_t levels = multipliers_.size();
    for (std::size_t l = 0; l < levels; ++l, side /= 2)
      attends_.push_back(std::find(attention_.begin(), attention_.end(), side) != attention_.end());
    const std::int64_t width = walk(
        [&](std::size_t l, std::int64_t in, std::int64_t out) {
          res_.emplace_back(w, "blocks." + std::to_string(res_.size()), in, out, emb, groups_);
          if (attends_[l])
            attentions_.emplace_back(w, "attentions." + std::to_string(attentions_.size()), out,
                                     groups_);
        },
        [&](std::size_t l, std::int64_t of, bool down) {
          if (down)
            down_.emplace_back(w, "down." + std::to_string(l), of, of, 3, 2);
          else
            up_.insert(up_.begin(), nn::Conv2d(w, "up." + std::to_string(l), of, of, 3));
        });
    norm_ = nn::GroupNorm(w, "norm", std::min(groups_, width), width);
    out_ = nn::Conv2d(w, "out", width, answered, 3);
    parameters_ = w.list;
  }

  std::int64_t groups_in(std::int64_t width) const { return std::min(groups_, width); }
  /// Down the resolutions and up again: block(resolution, channels in, out), and half(resolution,
  /// channels, down) where the next one is half as wide. Returns the channels at the end.
  template <class Block, class Half = void (*)(std::size_t, std::int64_t, bool)>
  std::int64_t walk(
      Block&& block, Half&& half = [](std::size_t, std::int64_t, bool) {}) const {
    std::vector<std::int64_t> widths{channels_};
    std::int64_t width = channels_;
    const std::size_t levels = multipliers_.size();
    for (std::size_t l = 0; l < levels; ++l) {
      const std::int64_t own = channels_ * multipliers_[l];
      for (std::int64_t b = 0; b < blocks_; ++b) {
        block(l, width, own);
        widths.push_back(width = own);
      }
      if (l + 1 < levels) {
        half(l, width, true);
        widths.push_back(width);
      }
    }
    block(levels - 1, width, width);
    for (std::size_t l = levels; l-- > 0;) {
      for (std::int64_t b = 0; b <= blocks_; ++b, widths.pop_back()) {
        block(l, width + widths.back(), channels_ * multipliers_[l]);
        width = channels_ * multipliers_[l];
      }
      if (l > 0) half(l - 1, width, false);
    }
    return width;
  }

  std::int64_t channels_ = 32, blocks_ = 1, groups_ = 8, classes_ = 0;
  std::vector<std::int64_t> multipliers_{1, 2}, attention_{};
  double dropout_ = 0;
  nn::Linear time1_, time2_;
  nn::ClassEmbedding class_;
  nn::Conv2d in_, out_;
  nn::GroupNorm norm_;
  std::vector<ResBlock> res_;
  std::vector<Attention> attentions_;
  std::vector<nn::Conv2d> down_, up_;
  std::vector<bool> attends_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(UNet, network, "unet", "1.0.0", "small U-Net for images")
