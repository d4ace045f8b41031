#include <ATen/ATen.h>
#include <scorelab/draft/frozen.h>
#include <scorelab/error.h>
#include <scorelab/plugin.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

namespace {
using namespace scorelab;

/// A network of images that a user brings as TorchScript, such as StyleGAN's and EDM's
/// inception-2015-12-05.pt: [B, 3, H, W] -> [B, F]. Such a file is a program, and runs.
class TorchScript final : public Network {
 public:
  void params(Params& p) override {
    p("file", file_, "the TorchScript file (torch.jit.save); it is a program: trust it")
        .file()
        .required();
    p("input", input_,
      "what it takes, [B, 3, H, W], rounded to bytes. uint8: bytes; floats: from 0 to 1; bytes: "
      "floats from 0 to 255")
        .one_of({"uint8", "floats", "bytes"});
    p("flag", flag_,
      "a keyword argument that is set to true, such as return_features; empty: none");
    p.needs("images", "it looks at images");
    p.needs("bounds", "it looks at grey levels from 0 to 1");
    p.gives("classifies");
    p.gives("program");
  }
  void prepare(const Setting& setting) override {
    pixels_.prepare(setting);
    options_ = setting.options;
    try {
      module_ = torch::jit::load(file_, setting.options.device());
    } catch (const c10::Error& e) {
      throw Error(file_ + " is no TorchScript file that can be loaded: " + first_line(e));
    }
    module_.eval();
    if (input_ != "uint8") module_.to(c10::typeMetaToScalarType(setting.options.dtype()));
  }
  at::Tensor forward(const Input&) override { throw Error("it is a classifier: it says no score"); }
  Classified classify(const Input& in) override {
    return frozen::in_parts(pixels_(in.x), [&](const at::Tensor& bytes) { return call(bytes); });
  }

 private:
  static std::string first_line(const c10::Error& e) {
    const std::string text = e.what_without_backtrace();
    return text.substr(0, text.find('\n'));
  }
  Classified call(const at::Tensor& bytes) {
    std::unordered_map<std::string, c10::IValue> named;
    if (!flag_.empty()) named[flag_] = true;
    c10::IValue out;
    try {
      out = module_.forward({input_ == "uint8"    ? bytes.to(at::kByte)
                             : input_ == "floats" ? bytes / 255
                                                  : bytes.contiguous()},
                            named);
    } catch (const c10::Error& e) {
      throw Error(file_ + " failed: " + first_line(e));
    }
    const at::Tensor features = out.isTensor() ? out.toTensor() : at::Tensor();
    if (!features.defined() || features.dim() != 2 || features.size(0) != bytes.size(0))
      throw Error(c10::str(file_, " returned ",
                           features.defined() ? c10::str(features.sizes()) : out.tagKind(),
                           "; expected a tensor [", bytes.size(0), ", F]"));
    return {features.to(options_), features.to(options_)};
  }

  std::string file_, input_ = "uint8", flag_;
  frozen::Pixels pixels_;
  at::TensorOptions options_;
  torch::jit::Module module_;
};
}  // namespace
SCORELAB_PLUGIN(TorchScript, network, "torchscript", "1.0.0",
                "features of images by a TorchScript file of your own")
