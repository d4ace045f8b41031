#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <vector>

namespace {
using namespace scorelab;

/// Images of one bright disk each, drawn afresh: for trying networks of images without files. The
/// edge is linear over one pixel. Its classes are small disks, 0, and large ones, 1.
class Disks final : public DataSet {
 public:
  void params(Params& p) override {
    p("side", side_, "pixels a side").range(4, 1024);
    p("channels", channels_, "of an image; each has a grey level of its own").range(1, 16);
    p("labels", labels_, "each image says its class: 0 for a small disk, 1 for a large one");
    p.gives("images");
    p.gives("labels").when("labels", {"true"});
  }
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {channels_, side_, side_}; }
  Affine to_model() const override { return {2, -1}; }
  std::vector<ConditionType> conditions() const override {
    if (!labels_) return {};
    return {class_label(2)};
  }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise,
                 Condition& condition) const override {
    const auto rows = static_cast<std::int64_t>(index.size());
    const at::Tensor u = noise.uniform(at::empty({rows, 3 + channels_}, at::kDouble))
                             .view({rows, 3 + channels_, 1, 1});
    if (labels_) condition["label"] = (u.select(1, 0).flatten() >= 0.5).to(at::kLong);
    const auto side = static_cast<double>(side_);
    const at::Tensor radius = side * (0.1 + 0.2 * u.select(1, 0)),
                     x = radius + (side - 2 * radius) * u.select(1, 1),
                     y = radius + (side - 2 * radius) * u.select(1, 2);
    const at::Tensor pixel = at::arange(side_, at::kDouble) + 0.5;
    const at::Tensor distance =
        ((pixel.view({1, 1, side_}) - x).square() + (pixel.view({1, side_, 1}) - y).square())
            .sqrt();
    const at::Tensor disk = (radius - distance + 0.5).clamp(0, 1).unsqueeze(1);
    return disk * (0.5 + 0.5 * u.narrow(1, 3, channels_));
  }

 private:
  std::int64_t side_ = 16, channels_ = 1;
  bool labels_ = false;
};
}  // namespace
SCORELAB_PLUGIN(Disks, dataset, "disks", "1.0.0",
                "images of one disk each, of any size, drawn afresh")
