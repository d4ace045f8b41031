#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Throws in the method that is named.
struct ThrowingDataset final : DataSet {
  void params(Params& p) override {
    p("in", in_, "the method").one_of({"get", "shape", "exact", "to_model"});
  }
  std::int64_t size() const override { return 100; }
  std::vector<std::int64_t> shape() const override {
    reached("shape");
    return {2};
  }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise&, Condition&) const override {
    reached("get");
    return at::zeros({static_cast<std::int64_t>(index.size()), 2});
  }
  std::optional<Law> exact() const override {
    reached("exact");
    return {};
  }
  Affine to_model() const override {
    reached("to_model");
    return {};
  }

 private:
  void reached(const char* method) const {
    if (in_ == method) throw Error("the shelf is empty in " + in_);
  }
  std::string in_ = "get";
};
}  // namespace
SCORELAB_PLUGIN(ThrowingDataset, dataset, "throwing-dataset", "1.0.0",
                "throws in the method that is named")
