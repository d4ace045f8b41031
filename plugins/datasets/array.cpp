#include <ATen/ATen.h>
#include <scorelab/arrays.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <algorithm>

namespace {
using namespace scorelab;

/// Numbers of your own from a file: [N, D] points, or images or latents of any scale. They are data
/// units as they are; images of bytes are `image-array`.
class Array final : public DataSet {
 public:
  void params(Params& p) override {
    arrays_.params(p);
    p("layout", layout_,
      "the order of the axes: values, [N, ..]; or that of images, for networks that convolve")
        .one_of({"values", "NCHW", "NHWC"});
    p("limit", limit_, "so many of the items, evenly spread over all; 0: all of them")
        .range(0, 1e9);
    p.gives("images").when("layout", {"NCHW", "NHWC"});
  }
  void prepare(const Setting&) override {
    items_ = arrays_.items();
    if (layout_ != "values" && items_.dim() != 4)
      throw Error(c10::str("its shape is ", items_.sizes(), "; images are ", layout_));
    expect_finite();
    if (layout_ == "NHWC") items_ = items_.permute({0, 3, 1, 2});
    const std::vector<std::int64_t> labels = arrays_.labels(items_.size(0));
    if (!labels.empty()) labels_ = at::tensor(labels, at::kLong);
  }
  std::int64_t size() const override {
    return limit_ > 0 ? std::min(limit_, items_.size(0)) : items_.size(0);
  }
  std::vector<std::int64_t> shape() const override { return items_.sizes().slice(1).vec(); }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise&,
                 Condition& condition) const override {
    at::Tensor rows = at::tensor(index, at::kLong);
    if (size() < items_.size(0)) rows = at::div(rows * items_.size(0), size(), "floor");
    if (labels_.defined()) condition["label"] = labels_.index_select(0, rows);
    const at::Tensor x = items_.index_select(0, rows);
    return x.to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  }
  std::vector<ConditionType> conditions() const override {
    if (arrays_.classes() == 0) return {};
    return {class_label(arrays_.classes())};
  }

 private:
  /// Some at a time: they need not fit into memory.
  void expect_finite() const {
    constexpr std::int64_t most = 1 << 22;
    const std::int64_t all = items_.size(0),
                       rows = std::max<std::int64_t>(1, most * all / items_.numel());
    for (std::int64_t first = 0; first < all; first += rows) {
      const at::Tensor some = items_.narrow(0, first, std::min(rows, all - first));
      const at::Tensor finite = some.isfinite().flatten(1).all(1);
      if (finite.all().item<bool>()) continue;
      const std::int64_t item = first + finite.to(at::kByte).argmin().item<std::int64_t>();
      throw Error("item " + std::to_string(item) +
                  " (from 0) has a value that is no finite number");
    }
  }

  Arrays arrays_;
  std::string layout_ = "values";
  std::int64_t limit_ = 0;
  at::Tensor items_, labels_;
};
}  // namespace
SCORELAB_PLUGIN(Array, dataset, "array", "1.0.0",
                "numbers of your own, from a NumPy, HDF5 or CSV file")
