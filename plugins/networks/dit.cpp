#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <scorelab/nn.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

/// [N, features / 2] of [N]: p w with w = 10000^(-k / half).
at::Tensor angles(const at::Tensor& p, std::int64_t features) {
  const std::int64_t half = features / 2;
  const at::Tensor w =
      at::exp(at::arange(half, p.options()) * (-std::log(10000.0) / static_cast<double>(half)));
  return p.unsqueeze(1) * w;
}

at::Tensor normalised(const at::Tensor& x) { return at::layer_norm(x, {x.size(-1)}, {}, {}, 1e-6); }

/// LN(x) (1 + scale) + shift, the same for all tokens of a sample.
at::Tensor modulated(const at::Tensor& x, const at::Tensor& shift, const at::Tensor& scale) {
  return normalised(x) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1);
}

/// Attention and a perceptron, shifted, scaled and gated by the embedding (adaLN-zero).
struct Block {
  Block(nn::Weights& w, const std::string& n, std::int64_t width, std::int64_t heads)
      : qkv(w, n + ".attn.qkv", width, 3 * width),
        proj(w, n + ".attn.proj", width, width),
        fc1(w, n + ".mlp.fc1", width, 4 * width),
        fc2(w, n + ".mlp.fc2", 4 * width, width),
        modulation(w, n + ".adaLN_modulation.1", width, 6 * width),
        heads(heads) {}
  /// x: [B, tokens, width]; c: [B, width], after its SiLU.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& c) const {
    const auto m = modulation(c).chunk(6, 1);
    const at::Tensor h = x + m[2].unsqueeze(1) * attended(modulated(x, m[0], m[1]));
    return h + m[5].unsqueeze(1) * fc2(at::gelu(fc1(modulated(h, m[3], m[4])), "tanh"));
  }
  at::Tensor attended(const at::Tensor& x) const {
    const std::int64_t b = x.size(0), tokens = x.size(1), width = x.size(2);
    const at::Tensor all =
        qkv(x).view({b, tokens, 3, heads, width / heads}).permute({2, 0, 3, 1, 4});
    const at::Tensor y = nn::attention(all[0], all[1], all[2]);  // [B, heads, tokens, d]
    return proj(y.transpose(1, 2).reshape({b, tokens, width}));
  }

  nn::Linear qkv, proj, fc1, fc2, modulation;
  std::int64_t heads;
};

/// The diffusion transformer of Peebles & Xie 2023: by default DiT-S/2. Parameters have the names
/// of the paper's code (docs/checkpoints.md).
class Dit final : public Network {
 public:
  void params(Params& p) override {
    p("patch", patch_, "pixels a side of the square that becomes one token").range(1, 64);
    p("width", width_, "of a token").range(4, 8192);
    p("depth", depth_, "number of blocks").range(1, 256);
    p("heads", heads_, "heads of the attention").range(1, 256);
    p("classes", classes_,
      "number of class labels it takes, as vectors added to the time embedding, with one more for "
      "no label; 0: it takes none")
        .range(0, 1e6);
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.needs("images", "it cuts them into patches");
    p.gives("trains");
    p.gives("variance");
    p.gives("second-order");
    struct Size {
      std::string name;
      std::int64_t width, depth, heads;
    };
    for (const Size& size :
         {Size{"S", 384, 12, 6}, {"B", 768, 12, 12}, {"L", 1024, 24, 16}, {"XL", 1152, 28, 16}})
      for (const std::int64_t patch : {2, 4, 8}) {
        const std::string name = size.name + "/" + std::to_string(patch);
        p.preset(name, "DiT-" + name + ", ImageNet", [this, size, patch] {
          width_ = size.width;
          depth_ = size.depth;
          heads_ = size.heads;
          patch_ = patch;
          classes_ = 1000;
        });
      }
  }
  void check() const override {
    if (width_ % 4)
      throw Error(
          "`width` must be a multiple of 4: sines and cosines of a token's column and of its row");
    if (width_ % heads_)
      throw Error("`width` = " + std::to_string(width_) +
                  " cannot be cut into `heads` = " + std::to_string(heads_));
  }
  void prepare(const Setting& setting) override {
    const auto& shape = setting.shape;
    if (shape.size() != 3) throw Error("it takes images, [channels, height, width]");
    if (shape[1] % patch_ || shape[2] % patch_)
      throw Error("images of " + std::to_string(shape[1]) + " x " + std::to_string(shape[2]) +
                  " cannot be cut into patches of " + std::to_string(patch_) +
                  " pixels a side; see `patch`");
    rows_ = shape[1] / patch_;
    columns_ = shape[2] / patch_;
    build(setting.options, shape[0], setting.parts * shape[0]);
  }
  NamedTensors parameters() override { return parameters_; }
  std::vector<ConditionType> conditions() const override {
    if (classes_ == 0) return {};
    return {class_label(classes_)};
  }

  /// As the paper's code: uniform with the variance 2 / (fan-in + fan-out), N(0, 0.02^2) for the
  /// maps of time and class, 0 for what modulates and for the last map.
  void initialise(const std::string& name, at::Tensor& parameter, Noise& noise) override {
    const c10::NoGradGuard guard;
    if (!parameter.requires_grad() || parameter.dim() < 2) return;
    if (name.starts_with("final_layer.") || name.find(".adaLN_modulation.") != name.npos) return;
    if (name.starts_with("t_embedder.") || name.starts_with("y_embedder.")) {
      parameter.copy_(0.02 * noise.normal(parameter.unsqueeze(0)).squeeze(0));
      return;
    }
    const std::int64_t fans = parameter.size(0) + parameter.numel() / parameter.size(0);
    parameter.copy_((noise.uniform(parameter.unsqueeze(0)).squeeze(0) * 2 - 1) *
                    std::sqrt(6 / static_cast<double>(fans)));
  }

  at::Tensor forward(const Input& in) override {
    const at::Tensor angle = angles(in.time, time_features);
    at::Tensor c = time2_(at::silu(time1_(at::cat({angle.cos(), angle.sin()}, 1))));
    if (classes_ > 0) c = c + class_(in);
    c = at::silu(c);
    at::Tensor h = at::conv2d(in.x, patches_.weight, patches_.bias, {patch_, patch_});
    h = h.flatten(2).transpose(1, 2) + positions_;
    for (const Block& block : blocks_) h = block(h, c);
    const auto m = last_modulation_(c).chunk(2, 1);
    h = last_(modulated(h, m[0], m[1]));  // [B, tokens, (row, column, channel) of its pixels]
    const std::int64_t b = h.size(0), channels = h.size(2) / (patch_ * patch_);
    return h.view({b, rows_, columns_, patch_, patch_, channels})
        .permute({0, 5, 1, 3, 2, 4})
        .reshape({b, channels, rows_ * patch_, columns_ * patch_});
  }

 private:
  static constexpr std::int64_t time_features = 256;

  void build(const at::TensorOptions& options, std::int64_t image_channels, std::int64_t answered) {
    nn::Weights w(options);
    positions_ = w.fixed("pos_embed", {1, rows_ * columns_, width_});
    if (!positions_.is_meta()) positions_.copy_(position_vectors());
    patches_ = nn::Conv2d(w, "x_embedder.proj", image_channels, width_, patch_, patch_);
    time1_ = nn::Linear(w, "t_embedder.mlp.0", time_features, width_);
    time2_ = nn::Linear(w, "t_embedder.mlp.2", width_, width_);
    if (classes_ > 0)
      class_ = nn::ClassEmbedding(w, "y_embedder.embedding_table", classes_, width_);
    blocks_.clear();
    for (std::int64_t i = 0; i < depth_; ++i)
      blocks_.emplace_back(w, "blocks." + std::to_string(i), width_, heads_);
    last_ = nn::Linear(w, "final_layer.linear", width_, patch_ * patch_ * answered);
    last_modulation_ = nn::Linear(w, "final_layer.adaLN_modulation.1", width_, 2 * width_);
    parameters_ = w.list;
  }

  /// [tokens, width]: sines and cosines of a token's column, then of its row.
  at::Tensor position_vectors() const {
    const auto double_ = at::TensorOptions(at::kDouble);
    const auto half = [&](const at::Tensor& place) {
      const at::Tensor angle = angles(place, width_ / 2);
      return at::cat({angle.sin(), angle.cos()}, 1);
    };
    const at::Tensor row = at::arange(rows_, double_).repeat_interleave(columns_),
                     column = at::arange(columns_, double_).repeat({rows_});
    return at::cat({half(column), half(row)}, 1);
  }

  std::int64_t patch_ = 2, width_ = 384, depth_ = 12, heads_ = 6, classes_ = 0;
  std::int64_t rows_ = 0, columns_ = 0;
  at::Tensor positions_;
  nn::Conv2d patches_;
  nn::Linear time1_, time2_, last_, last_modulation_;
  nn::ClassEmbedding class_;
  std::vector<Block> blocks_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(Dit, network, "dit", "1.0.0", "diffusion transformer, DiT (Peebles & Xie 2023)")
