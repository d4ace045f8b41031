#include <ATen/ATen.h>
#include <scorelab/data_path.h>
#include <scorelab/draft/frozen.h>
#include <scorelab/error.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {
using namespace scorelab;
using frozen::ConvNorm;

/// As TensorFlow's "same": what is missing is added evenly, the odd pixel at the right and below.
at::Tensor padded(const at::Tensor& x, std::int64_t kernel, std::int64_t stride) {
  const auto missing = [&](std::int64_t n) {
    return std::max<std::int64_t>(0, ((n + stride - 1) / stride - 1) * stride + kernel - n);
  };
  const std::int64_t h = missing(x.size(2)), w = missing(x.size(3));
  return at::constant_pad_nd(x, {w / 2, w - w / 2, h / 2, h - h / 2});
}

/// 1 x 1, then one kernel a channel, then 1 x 1 without an activation (Sandler et al. 2018).
struct Block {
  ConvNorm expand, depthwise, project;
  std::int64_t kernel, stride;
  bool expands, skips;

  at::Tensor operator()(const at::Tensor& x) const {
    at::Tensor h = x;
    if (expands) h = expand.normed(at::conv2d(h, expand.weight)).clamp(0, 6);
    const std::vector<std::int64_t> unpadded{0, 0};
    h = at::conv2d(padded(h, kernel, stride), depthwise.weight, {}, {stride, stride}, unpadded,
                   {1, 1}, h.size(1));
    h = depthwise.normed(h).clamp(0, 6);
    h = project.normed(at::conv2d(h, project.weight));
    return skips ? h + x : h;
  }
};

/// EfficientNet-lite0, a classifier of ImageNet (Tan & Le 2019, without squeeze-and-excitation),
/// with the weights that ./scorelab fetched: 1,280 features of photographs for those who have no
/// file of Inception's weights. Distances in them are not the FID.
class EfficientNetLite0 final : public Network {
 public:
  void params(Params& p) override {
    p.reads(file);
    p.needs("images", "it looks at images");
    p.needs("bounds", "it looks at grey levels from 0 to 1");
    p.gives("classifies");
  }
  void prepare(const Setting& setting) override {
    pixels_.prepare(setting);
    frozen::Tensors from(find_data(file), setting.options);
    stem_ = ConvNorm(from, "_conv_stem", "_bn0", 32, 3, {3, 3});
    std::int64_t in = 32, index = 0;
    struct Stage {
      std::int64_t times, out, blocks, stride, kernel;
    };
    for (const Stage& s : {Stage{1, 16, 1, 1, 3},
                           {6, 24, 2, 2, 3},
                           {6, 40, 2, 2, 5},
                           {6, 80, 3, 2, 3},
                           {6, 112, 3, 1, 5},
                           {6, 192, 4, 2, 5},
                           {6, 320, 1, 1, 3}})
      for (std::int64_t i = 0; i < s.blocks; ++i, ++index) {
        const std::string name = "_blocks." + std::to_string(index) + ".";
        const std::int64_t inner = in * s.times, stride = i == 0 ? s.stride : 1;
        Block block{.expand = {},
                    .depthwise = {},
                    .project = {},
                    .kernel = s.kernel,
                    .stride = stride,
                    .expands = s.times > 1,
                    .skips = stride == 1 && in == s.out};
        if (block.expands)
          block.expand = ConvNorm(from, name + "_expand_conv", name + "_bn0", inner, in, {1, 1});
        block.depthwise =
            ConvNorm(from, name + "_depthwise_conv", name + "_bn1", inner, 1, {s.kernel, s.kernel});
        block.project = ConvNorm(from, name + "_project_conv", name + "_bn2", s.out, inner, {1, 1});
        blocks_.push_back(block);
        in = s.out;
      }
    head_ = ConvNorm(from, "_conv_head", "_bn1", 1280, 320, {1, 1});
    weight_ = from.take("_fc.weight", {1000, 1280});
    bias_ = from.take("_fc.bias", {1000});
    from.expect_all_taken();
  }
  at::Tensor forward(const Input&) override { throw Error("it is a classifier: it says no score"); }
  Classified classify(const Input& in) override {
    return frozen::in_parts(pixels_(in.x), [&](const at::Tensor& bytes) {
      at::Tensor x =
          (at::_upsample_bicubic2d_aa(bytes.contiguous(), {side, side}, false) - 127) / 128;
      x = stem_.normed(at::conv2d(padded(x, 3, 2), stem_.weight, {}, 2)).clamp(0, 6);
      for (const Block& block : blocks_) x = block(x);
      x = head_.normed(at::conv2d(x, head_.weight)).clamp(0, 6).mean({2, 3});
      return Classified{at::linear(x, weight_, bias_), x};
    });
  }

 private:
  static constexpr const char* file = "efficientnet-lite0/efficientnet-lite0.safetensors";
  static constexpr std::int64_t side = 224;
  frozen::Pixels pixels_;
  ConvNorm stem_, head_;
  std::vector<Block> blocks_;
  at::Tensor weight_, bias_;
};
}  // namespace
SCORELAB_PLUGIN(EfficientNetLite0, network, "efficientnet-lite0", "1.0.0",
                "a small classifier of ImageNet, for its features of images")
