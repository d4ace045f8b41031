#include <ATen/ATen.h>
#include <scorelab/draft/frozen.h>
#include <scorelab/error.h>
#include <scorelab/plugin.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace {
using namespace scorelab;
using frozen::ConvNorm;

using Kernel = std::vector<std::int64_t>;

/// [B, C, H, W] -> [B, C, 299, 299] by TensorFlow 1's bilinear rule: row i looks at i H/299, and
/// not at the middle of a pixel.
at::Tensor resize_as_tensorflow(const at::Tensor& x) {
  at::Tensor out = x;
  for (const std::int64_t axis : {2, 3}) {
    const std::int64_t n = x.size(axis);
    const at::Tensor at = at::arange(299, x.options()) * (static_cast<double>(n) / 299);
    const at::Tensor low = at.floor(), share = at - low;
    const at::Tensor first = low.to(at::kLong), second = (first + 1).clamp_max(n - 1);
    const at::Tensor weight = axis == 2 ? share.unsqueeze(1) : share;
    const at::Tensor a = out.index_select(axis, first), b = out.index_select(axis, second);
    out = a + (b - a) * weight;
  }
  return out;
}

at::Tensor average(const at::Tensor& x) { return at::avg_pool2d(x, 3, 1, 1, false, false); }
at::Tensor halved(const at::Tensor& x) { return at::max_pool2d(x, 3, 2); }

/// The network of the FID (Heusel et al. 2017): Inception-v3 (Szegedy et al. 2016) as TensorFlow's
/// graph inception-2015-12-05 has it, whose weights PyTorch's ports of the FID convert. It differs
/// from the usual one: average pools leave the padding out, the last block takes a maximum, and
/// there are 1,008 classes. Names are those of the ports.
class InceptionV3 final : public Network {
 public:
  void params(Params& p) override {
    p("weights", weights_,
      "a .safetensors file with the tensors of pt_inception-2015-12-05, which pytorch-fid and "
      "torch-fidelity use")
        .file()
        .required();
    p("input", input_,
      "how images, which are rounded to bytes, become 299 x 299. tensorflow: as the FID's own "
      "code, "
      "ADM's, EDM's and torch-fidelity; pytorch-fid: bilinear; clean-fid: bicubic with "
      "antialiasing")
        .one_of({"tensorflow", "pytorch-fid", "clean-fid"});
    p.needs("images", "it looks at images");
    p.needs("bounds", "it looks at grey levels from 0 to 1");
    p.gives("classifies");
  }
  void prepare(const Setting& setting) override {
    pixels_.prepare(setting);
    frozen::Tensors from(weights_, setting.options);
    const auto conv = [&](const std::string& name, std::int64_t in, std::int64_t out,
                          const Kernel& kernel) {
      layers_[name] = ConvNorm(from, name + ".conv", name + ".bn", out, in, kernel);
    };
    const Kernel one{1, 1}, three{3, 3}, five{5, 5}, wide{1, 7}, tall{7, 1};
    conv("Conv2d_1a_3x3", 3, 32, three);
    conv("Conv2d_2a_3x3", 32, 32, three);
    conv("Conv2d_2b_3x3", 32, 64, three);
    conv("Conv2d_3b_1x1", 64, 80, one);
    conv("Conv2d_4a_3x3", 80, 192, three);
    for (const auto& [name, in, pool] :
         {std::tuple<std::string, std::int64_t, std::int64_t>{"Mixed_5b", 192, 32},
          {"Mixed_5c", 256, 64},
          {"Mixed_5d", 288, 64}}) {
      conv(name + ".branch1x1", in, 64, one);
      conv(name + ".branch5x5_1", in, 48, one);
      conv(name + ".branch5x5_2", 48, 64, five);
      conv(name + ".branch3x3dbl_1", in, 64, one);
      conv(name + ".branch3x3dbl_2", 64, 96, three);
      conv(name + ".branch3x3dbl_3", 96, 96, three);
      conv(name + ".branch_pool", in, pool, one);
    }
    conv("Mixed_6a.branch3x3", 288, 384, three);
    conv("Mixed_6a.branch3x3dbl_1", 288, 64, one);
    conv("Mixed_6a.branch3x3dbl_2", 64, 96, three);
    conv("Mixed_6a.branch3x3dbl_3", 96, 96, three);
    for (const auto& [name, inner] : {std::pair<std::string, std::int64_t>{"Mixed_6b", 128},
                                      {"Mixed_6c", 160},
                                      {"Mixed_6d", 160},
                                      {"Mixed_6e", 192}}) {
      conv(name + ".branch1x1", 768, 192, one);
      conv(name + ".branch7x7_1", 768, inner, one);
      conv(name + ".branch7x7_2", inner, inner, wide);
      conv(name + ".branch7x7_3", inner, 192, tall);
      conv(name + ".branch7x7dbl_1", 768, inner, one);
      conv(name + ".branch7x7dbl_2", inner, inner, tall);
      conv(name + ".branch7x7dbl_3", inner, inner, wide);
      conv(name + ".branch7x7dbl_4", inner, inner, tall);
      conv(name + ".branch7x7dbl_5", inner, 192, wide);
      conv(name + ".branch_pool", 768, 192, one);
    }
    conv("Mixed_7a.branch3x3_1", 768, 192, one);
    conv("Mixed_7a.branch3x3_2", 192, 320, three);
    conv("Mixed_7a.branch7x7x3_1", 768, 192, one);
    conv("Mixed_7a.branch7x7x3_2", 192, 192, wide);
    conv("Mixed_7a.branch7x7x3_3", 192, 192, tall);
    conv("Mixed_7a.branch7x7x3_4", 192, 192, three);
    for (const auto& [name, in] :
         {std::pair<std::string, std::int64_t>{"Mixed_7b", 1280}, {"Mixed_7c", 2048}}) {
      conv(name + ".branch1x1", in, 320, one);
      conv(name + ".branch3x3_1", in, 384, one);
      conv(name + ".branch3x3_2a", 384, 384, {1, 3});
      conv(name + ".branch3x3_2b", 384, 384, {3, 1});
      conv(name + ".branch3x3dbl_1", in, 448, one);
      conv(name + ".branch3x3dbl_2", 448, 384, three);
      conv(name + ".branch3x3dbl_3a", 384, 384, {1, 3});
      conv(name + ".branch3x3dbl_3b", 384, 384, {3, 1});
      conv(name + ".branch_pool", in, 192, one);
    }
    out_ = from.take("fc.weight", {1008, 2048});
    from.take("fc.bias", {1008});  // the inception score of Salimans et al. (2016) leaves it out
    from.expect_all_taken();
  }
  at::Tensor forward(const Input&) override { throw Error("it is a classifier: it says no score"); }
  Classified classify(const Input& in) override {
    return frozen::in_parts(pixels_(in.x), [&](const at::Tensor& bytes) {
      const at::Tensor features = features_of(sized(bytes));
      return Classified{features.matmul(out_.t()), features};
    });
  }

 private:
  at::Tensor sized(const at::Tensor& bytes) const {
    if (input_ == "pytorch-fid")
      return 2 * at::upsample_bilinear2d(bytes / 255, {299, 299}, false) - 1;
    const at::Tensor x =
        input_ == "clean-fid"
            ? at::_upsample_bicubic2d_aa(bytes.contiguous(), {299, 299}, false).clamp(0, 255)
            : resize_as_tensorflow(bytes);
    return (x - 128) / 128;
  }
  at::Tensor conv(const std::string& name, const at::Tensor& x, std::int64_t stride = 1,
                  bool pad = true) const {
    const ConvNorm& c = layers_.at(name);
    std::vector<std::int64_t> padding{0, 0};
    if (pad) padding = {c.weight.size(2) / 2, c.weight.size(3) / 2};
    return c.normed(at::conv2d(x, c.weight, {}, stride, padding)).relu();
  }
  /// 3 x 3 without padding, every second pixel
  at::Tensor down(const std::string& name, const at::Tensor& x) const {
    return conv(name, x, 2, false);
  }

  at::Tensor features_of(at::Tensor x) const {
    x = down("Conv2d_1a_3x3", x);
    x = conv("Conv2d_2a_3x3", x, 1, false);
    x = halved(conv("Conv2d_2b_3x3", x));
    x = conv("Conv2d_3b_1x1", x);
    x = halved(conv("Conv2d_4a_3x3", x, 1, false));
    for (const std::string name : {"Mixed_5b", "Mixed_5c", "Mixed_5d"}) x = block_5(name, x);
    x = at::cat({down("Mixed_6a.branch3x3", x),
                 down("Mixed_6a.branch3x3dbl_3",
                      conv("Mixed_6a.branch3x3dbl_2", conv("Mixed_6a.branch3x3dbl_1", x))),
                 halved(x)},
                1);
    for (const std::string name : {"Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"})
      x = block_6(name, x);
    x = at::cat({down("Mixed_7a.branch3x3_2", conv("Mixed_7a.branch3x3_1", x)),
                 down("Mixed_7a.branch7x7x3_4",
                      conv("Mixed_7a.branch7x7x3_3",
                           conv("Mixed_7a.branch7x7x3_2", conv("Mixed_7a.branch7x7x3_1", x)))),
                 halved(x)},
                1);
    x = block_7("Mixed_7b", x, average(x));
    x = block_7("Mixed_7c", x, at::max_pool2d(x, 3, 1, 1));
    return x.mean({2, 3});
  }
  at::Tensor block_5(const std::string& name, const at::Tensor& x) const {
    const auto c = [&](const char* branch, const at::Tensor& in) {
      return conv(name + branch, in);
    };
    return at::cat({c(".branch1x1", x), c(".branch5x5_2", c(".branch5x5_1", x)),
                    c(".branch3x3dbl_3", c(".branch3x3dbl_2", c(".branch3x3dbl_1", x))),
                    c(".branch_pool", average(x))},
                   1);
  }
  at::Tensor block_6(const std::string& name, const at::Tensor& x) const {
    const auto c = [&](const char* branch, const at::Tensor& in) {
      return conv(name + branch, in);
    };
    const at::Tensor twice = c(".branch7x7dbl_3", c(".branch7x7dbl_2", c(".branch7x7dbl_1", x)));
    return at::cat(
        {c(".branch1x1", x), c(".branch7x7_3", c(".branch7x7_2", c(".branch7x7_1", x))),
         c(".branch7x7dbl_5", c(".branch7x7dbl_4", twice)), c(".branch_pool", average(x))},
        1);
  }
  at::Tensor block_7(const std::string& name, const at::Tensor& x, const at::Tensor& pooled) const {
    const auto c = [&](const char* branch, const at::Tensor& in) {
      return conv(name + branch, in);
    };
    const at::Tensor once = c(".branch3x3_1", x),
                     twice = c(".branch3x3dbl_2", c(".branch3x3dbl_1", x));
    return at::cat(
        {c(".branch1x1", x), c(".branch3x3_2a", once), c(".branch3x3_2b", once),
         c(".branch3x3dbl_3a", twice), c(".branch3x3dbl_3b", twice), c(".branch_pool", pooled)},
        1);
  }

  std::string weights_, input_ = "tensorflow";
  frozen::Pixels pixels_;
  std::map<std::string, ConvNorm> layers_;
  at::Tensor out_;
};
}  // namespace
SCORELAB_PLUGIN(InceptionV3, network, "inception-v3", "1.0.0",
                "the network of the FID, by a file of its weights")
