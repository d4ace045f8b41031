#include <ATen/ATen.h>
#include <scorelab/plugin.h>
#include <scorelab/space.h>

namespace {
using namespace scorelab;

/// Throws in the method that is named.
struct ThrowingSpace final : Space {
  void params(Params& p) override {
    p("in", in_, "the method").one_of({"encode", "decode", "affine"});
  }
  void prepare(const Setting& setting) override { shape_ = setting.shape; }
  std::vector<std::int64_t> shape() const override { return shape_; }
  at::Tensor encode(const at::Tensor& x, Noise*) const override { return reached("encode", x); }
  at::Tensor decode(const at::Tensor& z) const override { return reached("decode", z); }
  std::optional<Affine> affine() const override {
    reached("affine", {});
    return {};
  }

 private:
  at::Tensor reached(const char* method, at::Tensor x) const {
    if (in_ == method) throw Error("no space is left in " + in_);
    return x;
  }
  std::string in_ = "encode";
  std::vector<std::int64_t> shape_;
};
}  // namespace
SCORELAB_PLUGIN(ThrowingSpace, space, "throwing-space", "1.0.0",
                "throws in the method that is named")
