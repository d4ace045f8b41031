#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <scorelab/draft/adm.h>

#include <algorithm>
#include <cmath>

namespace scorelab::adm {
namespace {

/// [B, features]: cosines, then sines, of t w with w = 10000^(-k / half).
at::Tensor embedded(const at::Tensor& t, std::int64_t features) {
  const std::int64_t half = features / 2;
  const at::Tensor w =
      at::exp(at::arange(half, t.options()) * (-std::log(10000.0) / static_cast<double>(half)));
  const at::Tensor angles = t.unsqueeze(1) * w;
  return at::cat({at::cos(angles), at::sin(angles)}, 1);
}

}  // namespace

at::Tensor resampled(const at::Tensor& x, Resample how) {
  if (how == Resample::down) return at::avg_pool2d(x, 2);
  if (how == Resample::up) return x.repeat_interleave(2, 2).repeat_interleave(2, 3);
  return x;
}

ResBlock::ResBlock(nn::Weights& w, const std::string& n, std::int64_t in, std::int64_t out,
                   std::int64_t embedding, std::int64_t groups, bool modulate, Resample resample)
    : norm1_(w, n + ".in_layers.0", groups, in),
      conv1_(w, n + ".in_layers.2", in, out, 3),
      emb_(w, n + ".emb_layers.1", embedding, modulate ? 2 * out : out),
      norm2_(w, n + ".out_layers.0", groups, out),
      conv2_(w, n + ".out_layers.3", out, out, 3),
      modulate_(modulate),
      resample_(resample) {
  if (in != out) skip_.emplace(w, n + ".skip_connection", in, out, 1);
}

at::Tensor ResBlock::operator()(const at::Tensor& x, const at::Tensor& e, const Mode& mode) const {
  std::vector<at::Tensor> inputs{x, e};
  if (mode.noise && mode.dropout > 0) {
    const auto side = [&](std::int64_t n) {
      return resample_ == Resample::down ? n / 2 : resample_ == Resample::up ? 2 * n : n;
    };
    const at::Tensor ones =
        at::ones({x.size(0), conv1_.weight.size(0), side(x.size(2)), side(x.size(3))},
                 norm1_.weight.options());
    inputs.push_back(nn::dropout(ones, mode.dropout, mode.noise));
  }
  if (!mode.recompute) return run(inputs);
  return nn::recomputed([this](const auto& all) { return run(all); }, inputs, weights());
}

/// Of x, the embedding and, with dropout, the factors.
at::Tensor ResBlock::run(const std::vector<at::Tensor>& in) const {
  const at::Tensor x = resampled(in[0], resample_);
  at::Tensor h = conv1_(resampled(at::silu(norm1_(in[0])), resample_));
  const at::Tensor e = emb_(in[1]).unsqueeze(-1).unsqueeze(-1);
  if (modulate_) {
    const auto parts = e.chunk(2, 1);
    h = norm2_(h) * (1 + parts[0]) + parts[1];
  } else {
    h = norm2_(h + e);
  }
  h = at::silu(h);
  h = conv2_(in.size() > 2 ? h * in[2] : h);
  return h + (skip_ ? (*skip_)(x) : x);
}

std::vector<at::Tensor> ResBlock::weights() const {
  std::vector<at::Tensor> out{norm1_.weight, norm1_.bias, conv1_.weight, conv1_.bias,
                              emb_.weight,   emb_.bias,   norm2_.weight, norm2_.bias,
                              conv2_.weight, conv2_.bias};
  if (skip_) out.insert(out.end(), {skip_->weight, skip_->bias});
  return out;
}

at::Tensor attention(const at::Tensor& qkv, std::int64_t heads, bool split) {
  const std::int64_t rows = qkv.size(0), width = qkv.size(1) / 3, d = width / heads;
  const at::Tensor parts =
      split ? qkv.view({rows, 3, heads, d, -1}).transpose(1, 2) : qkv.view({rows, heads, 3, d, -1});
  const auto part = [&](std::int64_t i) { return parts.select(2, i).transpose(2, 3); };
  const at::Tensor y = nn::attention(part(0), part(1), part(2));  // [B, heads, tokens, d]
  return y.transpose(2, 3).reshape({rows, width, -1});
}

Attention::Attention(nn::Weights& w, const std::string& n, std::int64_t channels,
                     std::int64_t heads, std::int64_t groups, bool split)
    : norm_(w, n + ".norm", groups, channels),
      qkv_weight_(w.add(n + ".qkv.weight", {3 * channels, channels, 1})),
      qkv_bias_(w.add(n + ".qkv.bias", {3 * channels})),
      out_weight_(w.add(n + ".proj_out.weight", {channels, channels, 1})),
      out_bias_(w.add(n + ".proj_out.bias", {channels})),
      heads_(heads),
      split_(split) {}

at::Tensor Attention::operator()(const at::Tensor& x, const Mode& mode) const {
  if (!mode.recompute) return run(x);
  return nn::recomputed([this](const auto& in) { return run(in[0]); }, {x},
                        {norm_.weight, norm_.bias, qkv_weight_, qkv_bias_, out_weight_, out_bias_});
}

at::Tensor Attention::run(const at::Tensor& x) const {
  const at::Tensor qkv = at::conv1d(norm_(x).flatten(2), qkv_weight_, qkv_bias_);
  return x + at::conv1d(attention(qkv, heads_, split_), out_weight_, out_bias_).view_as(x);
}

at::Tensor Block::operator()(at::Tensor h, const at::Tensor& e, const Mode& mode) const {
  if (res) h = (*res)(h, e, mode);
  if (attention) h = (*attention)(h, mode);
  if (resampler) h = (*resampler)(h, e, mode);
  if (conv) h = (*conv)(up ? resampled(h, Resample::up) : h);
  return h;
}

void Encoder::params(Params& p) {
  p("channels", channels, "channels at the first resolution, before the multipliers")
      .range(4, 4096);
  p("multipliers", multipliers, "of the channels, one a resolution; each next one is half as wide")
      .range(1, 64);
  p("blocks", blocks,
    "residual blocks a resolution on the way down; a U-Net has one more on the way up")
      .range(1, 16);
  p("attention", attention_at,
    "resolutions (pixels a side) with self-attention, beside the middle; those that do not occur "
    "have no effect")
      .range(1, 4096);
  p("head_channels", head_channels, "width of a head of the attention; 0: `heads` says how many")
      .range(0, 4096);
  p("heads", heads, "heads of the attention").range(1, 256).when("head_channels", {"0"});
  p("qkv", qkv,
    "order of the rows that make q, k and v: head by head, as improved DDPM's, or all q, all k, "
    "all v, as ADM's at 64 x 64")
      .one_of({"by-head", "split"});
  p("modulate", modulate,
    "the embedding scales and shifts the second norm's result; otherwise it is added before it");
  p("resample", resample, "how the resolution changes: by a residual block, or a convolution")
      .one_of({"block", "conv"});
  p("groups", groups, "of the group norms").range(1, 256);
  p("dropout", dropout, "rate in the residual blocks, in training").range(0, 0.95);
  p("recompute", recompute,
    "each block's activations are computed again in the backward pass: less memory, more time");
  p.needs("images", "it convolves over height and width");
  p.gives("second-order").when("recompute", {"false"});
}

void Encoder::check() const {
  if (channels % 2)
    throw Error("`channels` must be even: as many sines as cosines in the time embedding");
  if (multipliers.empty())
    throw Error("`multipliers` needs one number a resolution, such as [1, 2, 3, 4]");
  if (channels % groups)
    throw Error("`groups` = " + std::to_string(groups) + " does not divide `channels` = " +
                std::to_string(channels) + "; every width is a multiple of the latter");
  for (const std::int64_t m : multipliers) {
    const std::int64_t by = head_channels > 0 ? head_channels : heads;
    if (channels * m % by)
      throw Error("attention of width " + std::to_string(channels * m) + " cannot be cut into " +
                  (head_channels > 0 ? "heads of " + std::to_string(by) + "; see `head_channels`"
                                     : std::to_string(by) + " heads; see `heads`"));
  }
}

void Encoder::prepare(nn::Weights& w, const std::vector<std::int64_t>& shape,
                      std::int64_t classes) {
  nn::expect_halvings(shape, levels() - 1, "multipliers");
  const std::int64_t embedding = 4 * channels, side = shape[1];
  time1_ = nn::Linear(w, "time_embed.0", channels, embedding);
  time2_ = nn::Linear(w, "time_embed.2", embedding, embedding);
  classes_weight_ = classes > 0 ? w.add("label_emb.weight", {classes, embedding}) : at::Tensor();
  std::int64_t width = channels * multipliers[0];
  in_ = nn::Conv2d(w, "input_blocks.0.0", shape[0], width, 3);
  skips_ = {width};
  down_.clear();
  for (std::int64_t l = 0; l < levels(); ++l) {
    const std::int64_t own = channels * multipliers[l];
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::string n = "input_blocks." + std::to_string(skips_.size());
      Block& block = down_.emplace_back();
      block.res.emplace(res(w, n + ".0", width, own));
      if (attends(side >> l)) block.attention.emplace(attention(w, n + ".1", own));
      skips_.push_back(width = own);
    }
    if (l + 1 == levels()) break;
    const std::string n = "input_blocks." + std::to_string(skips_.size()) + ".0";
    Block& block = down_.emplace_back();
    if (resample == "block")
      block.resampler.emplace(res(w, n, width, width, Resample::down));
    else
      block.conv.emplace(w, n + ".op", width, width, 3, 2);
    skips_.push_back(width);
  }
  middle_.clear();
  Block& first = middle_.emplace_back();
  first.res.emplace(res(w, "middle_block.0", width, width));
  first.attention.emplace(attention(w, "middle_block.1", width));
  middle_.emplace_back().res.emplace(res(w, "middle_block.2", width, width));
}

at::Tensor Encoder::embedding(const Input& in) const {
  at::Tensor e = time2_(at::silu(time1_(embedded(in.time, channels))));
  if (classes_weight_.defined()) {
    const at::Tensor& label = in.condition.at("label");
    const at::Tensor vectors = classes_weight_.index_select(0, label.clamp_min(0));
    e = e + vectors * (label >= 0).to(vectors.scalar_type()).unsqueeze(1);
  }
  return at::silu(e);
}

at::Tensor Encoder::operator()(const Input& in, const at::Tensor& e,
                               std::vector<at::Tensor>* skips) const {
  const Mode how = mode(in);
  at::Tensor h = in_(in.x);
  if (skips) skips->push_back(h);
  for (const Block& block : down_) {
    h = block(h, e, how);
    if (skips) skips->push_back(h);
  }
  for (const Block& block : middle_) h = block(h, e, how);
  return h;
}

ResBlock Encoder::res(nn::Weights& w, const std::string& name, std::int64_t in, std::int64_t out,
                      Resample how) const {
  return {w, name, in, out, 4 * channels, groups, modulate, how};
}

Attention Encoder::attention(nn::Weights& w, const std::string& name, std::int64_t width) const {
  return {w,      name,          width, head_channels > 0 ? width / head_channels : heads,
          groups, qkv == "split"};
}

bool Encoder::attends(std::int64_t side) const {
  return std::find(attention_at.begin(), attention_at.end(), side) != attention_at.end();
}

namespace {

/// The matrix or kernel whose bias this is; null for the biases of norms.
const at::Tensor* kernel_of(const std::string& name, const NamedTensors& all) {
  if (!name.ends_with(".bias")) return nullptr;
  const std::string weight = name.substr(0, name.size() - 4) + "weight";
  for (const auto& [other, tensor] : all)
    if (other == weight && tensor.dim() > 1) return &tensor;
  return nullptr;
}

}  // namespace

void initialise(const std::string& name, at::Tensor& parameter, Noise& noise,
                const NamedTensors& all) {
  const c10::NoGradGuard guard;
  const auto fan_in = [](const at::Tensor& kernel) {
    return static_cast<double>(kernel.numel()) / static_cast<double>(kernel.size(0));
  };
  const auto uniform = [&] { return noise.uniform(parameter.unsqueeze(0)).squeeze(0) * 2 - 1; };
  if (name.find(".out_layers.3.") != name.npos || name.find(".proj_out.") != name.npos)
    parameter.zero_();
  else if (name == "label_emb.weight")
    parameter.copy_(noise.normal(parameter.unsqueeze(0)).squeeze(0));
  else if (const at::Tensor* kernel = kernel_of(name, all))
    parameter.copy_(uniform() / std::sqrt(fan_in(*kernel)));
  else if (parameter.dim() > 1)
    parameter.copy_(uniform() * (1 / std::sqrt(fan_in(parameter))));
}

}  // namespace scorelab::adm
