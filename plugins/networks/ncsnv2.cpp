#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <scorelab/nn.h>
#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

/// A convolution that keeps the size, dilated or without a bias.
struct Conv {
  Conv(nn::Weights& w, const std::string& name, std::int64_t in, std::int64_t out,
       std::int64_t kernel, std::int64_t dilation = 1, bool biased = true)
      : weight(w.add(name + ".weight", {out, in, kernel, kernel})), dilation(dilation) {
    if (biased) bias = w.add(name + ".bias", {out});
  }
  at::Tensor operator()(const at::Tensor& x) const {
    const std::int64_t pad = dilation * ((weight.size(2) - 1) / 2);
    return at::conv2d(x, weight, bias, {1, 1}, {pad, pad}, {dilation, dilation});
  }
  at::Tensor weight, bias;
  std::int64_t dilation;
};

/// InstanceNorm++: an instance norm that keeps what the channels' means are beside each other. Its
/// factors are those of the level of noise, where there are levels, by rows of gamma, alpha, beta.
struct Norm {
  Norm(nn::Weights& w, const std::string& n, std::int64_t channels, std::int64_t levels) {
    if (levels > 0) {
      of_level = w.add(n + ".embed.weight", {levels, 3 * channels});
    } else {
      alpha = w.add(n + ".alpha", {channels});
      gamma = w.add(n + ".gamma", {channels});
      beta = w.add(n + ".beta", {channels});
    }
  }
  /// `level`: [B], or not defined.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& level) const {
    std::vector<at::Tensor> factors{gamma, alpha, beta};
    if (of_level.defined()) factors = of_level.index_select(0, level).chunk(3, 1);
    const auto of_channels = [&](int i) { return factors[i].view({-1, x.size(1), 1, 1}); };
    const at::Tensor mean = x.mean({2, 3}, true);
    const at::Tensor h = (x - mean) / at::sqrt((x - mean).square().mean({2, 3}, true) + 1e-5);
    const at::Tensor off = mean - mean.mean(1, true);
    const auto others = static_cast<double>(x.size(1) - 1);
    const at::Tensor m = off / at::sqrt(off.square().sum(1, true) / others + 1e-5);
    return of_channels(0) * (h + of_channels(1) * m) + of_channels(2);
  }
  at::Tensor alpha, gamma, beta, of_level;
};

/// What one resolution of the encoder does: halve the image, or look further by dilation.
struct Stage {
  std::string name;
  std::int64_t width;
  bool halves;
  std::int64_t dilation;
};

struct ResBlock {
  /// `begins`: the first of its stage.
  ResBlock(nn::Weights& w, const std::string& n, std::int64_t in, const Stage& stage, bool begins,
           std::int64_t levels)
      : halves(begins && stage.halves),
        norm1(w, n + ".normalize1", in, levels),
        // where a stage changes the resolution or the dilation, its width changes behind that
        conv1(w, n + ".conv1", in, inner(in, stage, begins), 3, stage.dilation),
        norm2(w, n + ".normalize2", inner(in, stage, begins), levels),
        conv2(w, n + (halves ? ".conv2.conv" : ".conv2"), inner(in, stage, begins), stage.width, 3,
              stage.dilation) {
    if (halves)
      shortcut.emplace(w, n + ".shortcut.conv", in, stage.width, 1);
    else if (begins && stage.dilation > 1)
      shortcut.emplace(w, n + ".shortcut", in, stage.width, 3, stage.dilation);
  }
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& level) const {
    const auto resized = [&](const at::Tensor& y) { return halves ? at::avg_pool2d(y, 2) : y; };
    const at::Tensor h = conv2(at::elu(norm2(conv1(at::elu(norm1(x, level))), level)));
    return resized(h) + (shortcut ? resized((*shortcut)(x)) : x);
  }
  static std::int64_t inner(std::int64_t in, const Stage& stage, bool begins) {
    return begins ? in : stage.width;
  }

  bool halves;
  Norm norm1;
  Conv conv1;
  Norm norm2;
  Conv conv2;
  std::optional<Conv> shortcut;
};

/// RefineNet's residual convolutional unit: pairs of ELU and convolution beside an identity; with
/// levels, a norm before each.
struct Unit {
  Unit(nn::Weights& w, const std::string& n, std::int64_t width, std::int64_t blocks,
       std::int64_t levels) {
    for (std::int64_t b = 1; b <= blocks; ++b)
      for (const char* stage : {"_1", "_2"}) {
        const std::string name = n + "." + std::to_string(b) + stage;
        if (levels > 0) norms.emplace_back(w, name + "_norm", width, levels);
        convs.emplace_back(w, name + "_conv", width, width, 3, 1, false);
      }
  }
  at::Tensor operator()(at::Tensor x, const at::Tensor& level) const {
    const auto step = [&](std::size_t i, const at::Tensor& y) {
      return convs[i](at::elu(norms.empty() ? y : norms[i](y, level)));
    };
    for (std::size_t i = 0; i < convs.size(); i += 2) x = x + step(i + 1, step(i, x));
    return x;
  }
  std::vector<Norm> norms;
  std::vector<Conv> convs;
};

/// RefineNet's block: what a stage says and what the one below has become, as one. With levels a
/// norm stands before each convolution and pooling averages.
struct Refine {
  Refine(nn::Weights& w, const std::string& n, const std::vector<std::int64_t>& in,
         std::int64_t out, bool ends, std::int64_t levels)
      : after(w, n + ".output_convs", out, ends ? 3 : 1, levels) {
    for (std::size_t i = 0; i < in.size(); ++i) {
      const std::string k = std::to_string(i);
      before.emplace_back(w, n + ".adapt_convs." + k, in[i], 2, levels);
      if (in.size() < 2) continue;
      if (levels > 0) fuse_norms.emplace_back(w, n + ".msf.norms." + k, in[i], levels);
      fuse.emplace_back(w, n + ".msf.convs." + k, in[i], out, 3);
    }
    for (const char* k : {"0", "1"}) {
      if (levels > 0) pool_norms.emplace_back(w, n + ".crp.norms." + k, out, levels);
      pool.emplace_back(w, n + ".crp.convs." + k, out, out, 3, 1, false);
    }
  }
  /// The first has the resolution of the result.
  at::Tensor operator()(const std::vector<at::Tensor>& in, const at::Tensor& level) const {
    at::Tensor x = before[0](in[0], level);
    if (!fuse.empty()) {
      const auto fused = [&](std::size_t i, const at::Tensor& y) {
        return fuse[i](fuse_norms.empty() ? y : fuse_norms[i](y, level));
      };
      const at::IntArrayRef size = in[0].sizes().slice(2);
      x = fused(0, x) + at::upsample_bilinear2d(fused(1, before[1](in[1], level)), size, true);
    }
    x = at::elu(x);
    at::Tensor path = x;
    for (std::size_t i = 0; i < pool.size(); ++i) {
      path = pool[i](pool_norms.empty() ? at::max_pool2d(path, 5, 1, 2)
                                        : at::avg_pool2d(pool_norms[i](path, level), 5, 1, 2));
      x = x + path;
    }
    return after(x, level);
  }
  std::vector<Unit> before;
  std::vector<Norm> fuse_norms, pool_norms;
  std::vector<Conv> fuse, pool;
  Unit after;
};

/// The RefineNet of Song & Ermon 2020 (NCSNv2): by default that of CIFAR-10, 29.7 M parameters. It
/// is not told the noise level; its answer is the score times sigma: predict = "score-over-sigma".
/// With `levels` it is that of Song & Ermon 2019 (NCSN), which is told the level and whose answer
/// is the score. Parameters have the names of the papers' code (docs/checkpoints.md).
class Ncsnv2 final : public Network {
 public:
  void params(Params& p) override {
    p("channels", channels_, "channels at the first resolution").range(2, 4096);
    p("stages", stages_,
      "resolutions of the encoder: 4, or 5 (deeper: images up to 128 pixels) or 6 (deepest: 256)")
        .range(4, 6);
    p("levels", levels_,
      "it is told the level of noise, as NCSN of 2019: every norm has factors for each level, "
      "RefineNet has norms too, and its pooling averages");
    p("centre", centre_,
      "begins with 2 x - 1, as the paper's checkpoints need; for data with range = [0, 1] only");
    p.needs("levels", "it has factors for each level").when("levels", {"true"});
    p.needs("images", "it convolves over height and width");
    p.gives("trains");
    p.gives("variance");
    p.gives("second-order");
    p.preset("cifar10", "CIFAR-10: 29.7 M parameters", [] {});
    p.preset("celeba64", "CelebA, 64 x 64: 29.7 M", [] {});
    p.preset("lsun128", "LSUN, 128 x 128: 83.4 M", [this] { stages_ = 5; });
    p.preset("ncsn-cifar10", "NCSN, CIFAR-10: 30.1 M with 10 levels", [this] { levels_ = true; });
    p.preset("ncsn-mnist", "NCSN, MNIST: 7.6 M with 10 levels", [this] {
      levels_ = true;
      channels_ = 64;
    });
    p.preset("ffhq256", "FFHQ, 256 x 256: 94.1 M", [this] { stages_ = 6; });
  }
  void prepare(const Setting& setting) override {
    nn::expect_halvings(setting.shape, stages_ - 3, "stages");
    times_ = at::Tensor();
    if (levels_) {
      const Scheduler& q = *setting.scheduler;
      std::vector<double> times;
      const auto n = static_cast<double>(q.levels());
      for (std::int64_t i = q.levels(); i > 0; --i)
        times.push_back(q.conditioning(static_cast<double>(i) / n));
      times_ = at::tensor(times, at::kDouble).to(setting.options);
    }
    build(setting.options, setting.shape[0], setting.parts * setting.shape[0]);
  }
  NamedTensors parameters() override { return parameters_; }

  /// PyTorch's own, biases too; the norms' factors N(1, 0.02^2).
  void initialise(const std::string& name, at::Tensor& parameter, Noise& noise) override {
    const c10::NoGradGuard guard;
    const auto near_one = [&](at::Tensor factors) {
      factors.copy_(1 + 0.02 * noise.normal(factors.unsqueeze(0)).squeeze(0));
    };
    if (name.ends_with(".alpha") || name.ends_with(".gamma"))
      near_one(parameter);
    else if (name.ends_with(".embed.weight"))  // of gamma and alpha; beta is 0
      near_one(parameter.zero_().narrow(1, 0, parameter.size(1) / 3 * 2));
    else if (name.ends_with(".bias"))
      for (const auto& [other, kernel] : parameters_) {
        if (other != name.substr(0, name.size() - 4) + "weight") continue;
        const std::int64_t fan = kernel.numel() / kernel.size(0);
        parameter.copy_((noise.uniform(parameter.unsqueeze(0)).squeeze(0) * 2 - 1) /
                        std::sqrt(static_cast<double>(fan)));
      }
    else
      Network::initialise(name, parameter, noise);
  }

  at::Tensor forward(const Input& in) override {
    at::Tensor level;  // the nearest one, from the noisiest on
    if (levels_) level = (in.time.unsqueeze(1) - times_).abs().argmin(1);
    at::Tensor h = (*begin_)(centre_ ? 2 * in.x - 1 : in.x);
    std::vector<at::Tensor> seen;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      h = blocks_[i](h, level);
      if (i % 2 == 1) seen.push_back(h);
    }
    for (const Refine& refine : refines_) {
      const at::Tensor own = seen.back();
      seen.pop_back();
      h = refine(&refine == &refines_.front() ? std::vector{own} : std::vector{own, h}, level);
    }
    return (*end_)(at::elu((*norm_)(h, level)));
  }

 private:
  std::vector<Stage> encoder() const {
    const std::int64_t c = channels_, deep = stages_ > 4 ? 4 * c : 2 * c;
    std::vector<Stage> out{{"1", c, false, 1}, {"2", 2 * c, true, 1}};
    if (stages_ > 4) out.push_back({"3", 2 * c, true, 1});
    if (stages_ > 5) out.push_back({"31", 2 * c, true, 1});
    out.push_back({stages_ > 4 ? "4" : "3", deep, false, 2});
    out.push_back({stages_ > 4 ? "5" : "4", deep, false, 4});
    return out;
  }

  void build(const at::TensorOptions& options, std::int64_t image_channels, std::int64_t answered) {
    nn::Weights w(options);
    const std::int64_t levels = levels_ ? times_.numel() : 0;
    begin_.emplace(w, "begin_conv", image_channels, channels_, 3);
    norm_.emplace(w, "normalizer", channels_, levels);
    end_.emplace(w, "end_conv", channels_, answered, 3);
    const auto stages = encoder();
    blocks_.clear();
    std::int64_t width = channels_;
    for (const Stage& stage : stages)
      for (const char* k : {".0", ".1"}) {
        blocks_.emplace_back(w, "res" + stage.name + k, width, stage, *(k + 1) == '0', levels);
        width = stage.width;
      }
    refines_.clear();
    // in the code's order: 1, 2, 3, (31,) 4, 5
    std::vector<std::string> names{"1", "2", "3", "4", "5"};
    if (stages_ > 5) names.insert(names.begin() + 3, "31");
    for (std::size_t i = stages.size(); i-- > 0;) {
      const std::int64_t own = stages[i].width, out = i > 0 ? stages[i - 1].width : channels_;
      const bool starts = i + 1 == stages.size();
      refines_.emplace_back(w, "refine" + names[refines_.size()],
                            starts ? std::vector{own} : std::vector{own, width}, out, i == 0,
                            levels);
      width = out;
    }
    parameters_ = w.list;
  }

  std::int64_t channels_ = 128, stages_ = 4;
  bool centre_ = false, levels_ = false;
  at::Tensor times_;  // of each level, as the scheduler tells them
  std::optional<Conv> begin_, end_;
  std::optional<Norm> norm_;
  std::vector<ResBlock> blocks_;
  std::vector<Refine> refines_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(Ncsnv2, network, "ncsnv2", "1.1.0",
                "RefineNet of NCSNv2 and NCSN (Song & Ermon 2020, 2019)")
