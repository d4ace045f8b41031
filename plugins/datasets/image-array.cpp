#include <ATen/ATen.h>
#include <scorelab/arrays.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Images of bytes from a file: [N, H, W], [N, H, W, C] or [N, C, H, W] of uint8.
class ImageArray final : public Images {
 public:
  void params(Params& p) override {
    Images::params(p);
    arrays_.params(p);
    p("layout", layout_,
      "the order of the axes; auto: channels are the last axis where that is 1 or 3, else the "
      "second; NHW: grey images")
        .one_of({"auto", "NCHW", "NHWC", "NHW"});
  }
  void prepare(const Setting&) override {
    at::Tensor bytes = arrays_.items();
    if (bytes.scalar_type() != at::kByte)
      throw Error(c10::str("its values are ", bytes.scalar_type(),
                           "; images of bytes are uint8, and `array` takes other numbers"));
    std::string layout = layout_;
    if (layout == "auto") {
      const bool last = bytes.dim() == 4 && (bytes.size(3) == 1 || bytes.size(3) == 3);
      layout = bytes.dim() == 3 ? "NHW" : last ? "NHWC" : "NCHW";
    }
    if (bytes.dim() != static_cast<std::int64_t>(layout.size()))
      throw Error(c10::str("its shape is ", bytes.sizes(), "; expected ", layout));
    if (layout == "NHW") bytes = bytes.unsqueeze(1);
    if (layout == "NHWC") bytes = bytes.permute({0, 3, 1, 2});
    store(bytes, arrays_.labels(bytes.size(0)), 255);
  }
  std::vector<ConditionType> conditions() const override {
    if (arrays_.classes() == 0) return {};
    return {class_label(arrays_.classes())};
  }

 private:
  Arrays arrays_;
  std::string layout_ = "auto";
};
}  // namespace
SCORELAB_PLUGIN(ImageArray, dataset, "image-array", "1.0.0",
                "images of your own, from a NumPy or HDF5 file of bytes")
