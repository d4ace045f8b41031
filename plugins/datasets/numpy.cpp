#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/numpy.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Numbers of your own as NumPy stores them: [N, D] points, or [N, C, H, W] images or latents of
/// any scale. They are data units as they are; images of bytes are `numpy-images`.
class Numpy final : public DataSet {
 public:
  void params(Params& p) override {
    arrays_.params(p);
    p("layout", layout_, "values: [N, ..]; images: [N, C, H, W], for networks that convolve")
        .one_of({"values", "images"});
    p.gives("images").when("layout", {"images"});
  }
  void prepare(const Setting&) override {
    items_ = arrays_.items();
    if (layout_ == "images" && items_.dim() != 4)
      throw Error(c10::str("its shape is ", items_.sizes(), "; images are [N, C, H, W]"));
    const std::vector<std::int64_t> labels = arrays_.labels(size());
    if (!labels.empty()) labels_ = at::tensor(labels, at::kLong);
  }
  std::int64_t size() const override { return items_.size(0); }
  std::vector<std::int64_t> shape() const override { return items_.sizes().slice(1).vec(); }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise&,
                 Condition& condition) const override {
    const at::Tensor rows = at::tensor(index, at::kLong);
    if (labels_.defined()) condition["label"] = labels_.index_select(0, rows);
    const at::Tensor x = items_.index_select(0, rows);
    if (!x.isfinite().all().item<bool>()) throw Error("it has values that are no finite numbers");
    return x.to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  }
  std::vector<ConditionType> conditions() const override {
    if (arrays_.classes() == 0) return {};
    return {class_label(arrays_.classes())};
  }

 private:
  NumpyArrays arrays_;
  std::string layout_ = "values";
  at::Tensor items_, labels_;
};
}  // namespace
SCORELAB_PLUGIN(Numpy, dataset, "numpy", "1.0.0", "numbers of your own, from a .npy or .npz file")
