#pragma once
#include <scorelab/nn.h>

#include <optional>
#include <string>
#include <vector>

/// Parts of the U-Net of Nichol & Dhariwal 2021 (improved DDPM) and of Dhariwal & Nichol 2021
/// (ADM), and of ADM's classifier, which is its first half. Parameters have the names of the
/// papers' code.
namespace scorelab::adm {

enum class Resample { none, down, up };

/// What a block draws and whether its activations are kept for the backward pass.
struct Mode {
  double dropout;
  Noise* noise;
  bool recompute;
};

/// Two convolutions with group norm and SiLU. The embedding is added between them, or with
/// `modulate` scales and shifts what the second norm gives. A change of resolution comes before the
/// first convolution.
struct ResBlock {
  ResBlock(nn::Weights& w, const std::string& name, std::int64_t in, std::int64_t out,
           std::int64_t embedding, std::int64_t groups, bool modulate, Resample resample);
  /// `e`: the embedding after its SiLU.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& e, const Mode& mode) const;

 private:
  at::Tensor run(const std::vector<at::Tensor>& in) const;
  std::vector<at::Tensor> weights() const;
  nn::GroupNorm norm1_;
  nn::Conv2d conv1_;
  nn::Linear emb_;
  nn::GroupNorm norm2_;
  nn::Conv2d conv2_;
  std::optional<nn::Conv2d> skip_;
  bool modulate_;
  Resample resample_;
};

/// softmax(q k^T / sqrt(d)) v of the rows of a 1x1 convolution: [B, 3 width, tokens] -> [B, width,
/// tokens]. The rows lie head by head, each with q, k and v; or, with `split`, as all q, all k and
/// all v.
at::Tensor attention(const at::Tensor& qkv, std::int64_t heads, bool split);

/// Self-attention over the pixels.
struct Attention {
  Attention(nn::Weights& w, const std::string& name, std::int64_t channels, std::int64_t heads,
            std::int64_t groups, bool split);
  at::Tensor operator()(const at::Tensor& x, const Mode& mode) const;

 private:
  at::Tensor run(const at::Tensor& x) const;
  nn::GroupNorm norm_;
  at::Tensor qkv_weight_, qkv_bias_, out_weight_, out_bias_;
  std::int64_t heads_;
  bool split_;
};

/// A residual block, attention or none, and a change of resolution or none.
struct Block {
  std::optional<ResBlock> res;
  std::optional<Attention> attention;
  std::optional<ResBlock> resampler;
  std::optional<nn::Conv2d> conv;  ///< after nearest-neighbour upsampling, or of stride 2
  bool up = false;
  at::Tensor operator()(at::Tensor h, const at::Tensor& e, const Mode& mode) const;
};

/// The embedding of the time, the way down and the middle: a shared group of parameters, and what
/// they make.
class Encoder {
 public:
  void params(Params& p);
  void check() const;
  /// For images of `shape`, [C, H, W]; throws Error where they cannot be halved so often.
  /// `classes`: of an embedding that is added to that of the time; 0: none.
  void prepare(nn::Weights& w, const std::vector<std::int64_t>& shape, std::int64_t classes);
  Mode mode(const Input& in) const { return {dropout, in.noise, recompute}; }
  /// [B, 4 channels], after its SiLU.
  at::Tensor embedding(const Input& in) const;
  /// What the middle gives. `skips`: what the way up takes, the last one first; or null.
  at::Tensor operator()(const Input& in, const at::Tensor& e,
                        std::vector<at::Tensor>* skips = nullptr) const;
  /// The width at its end, and that of each skip.
  std::int64_t width() const { return skips_.back(); }
  const std::vector<std::int64_t>& skips() const { return skips_; }
  /// Its blocks, for a way up.
  ResBlock res(nn::Weights& w, const std::string& name, std::int64_t in, std::int64_t out,
               Resample resample = Resample::none) const;
  Attention attention(nn::Weights& w, const std::string& name, std::int64_t width) const;
  bool attends(std::int64_t side) const;
  std::int64_t levels() const { return static_cast<std::int64_t>(multipliers.size()); }

  std::int64_t channels = 192, blocks = 3, head_channels = 64, heads = 4, groups = 32;
  std::vector<std::int64_t> multipliers{1, 2, 3, 4}, attention_at{32, 16, 8};
  std::string qkv = "split", resample = "block";
  bool modulate = true, recompute = false;
  double dropout = 0;

 private:
  nn::Linear time1_, time2_;
  at::Tensor classes_weight_;
  nn::Conv2d in_;
  std::vector<Block> down_, middle_;
  std::vector<std::int64_t> skips_;
};

at::Tensor resampled(const at::Tensor& x, Resample how);

/// First weights as in the papers' code: PyTorch's, but 0 for the last map of each residual and
/// attention block and N(0, 1) for the vectors of the classes. `all`: the network's parameters.
void initialise(const std::string& name, at::Tensor& parameter, Noise& noise,
                const NamedTensors& all);

}  // namespace scorelab::adm
