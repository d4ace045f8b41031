#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>
#include <scorelab/space.h>

#include <numeric>

namespace {
using namespace scorelab;

/// The data shifted and scaled, so that their mean is 0 and their standard deviation what is asked
/// for.
class Template final : public Space {
 public:
  void params(Params& p) override {
    p("std", std_, "standard deviation of the model's values").range(1e-6, 1e6);
    p.needs("items", "it measures them");
    // one affine map for all elements: likelihoods and exact laws carry over
    p.gives("affine-space");
  }
  void prepare(const Setting& setting) override {
    std::vector<std::int64_t> index(std::min<std::int64_t>(setting.data->size(), 10000));
    std::iota(index.begin(), index.end(), 0);
    Noise noise(0, "template");
    Condition unused;
    const at::Tensor x = setting.data->get(index, noise, unused).to(at::kDouble);
    map_.scale = std_ / x.std().item<double>();
    map_.shift = -map_.scale * x.mean().item<double>();
    shape_ = setting.shape;
  }
  std::vector<std::int64_t> shape() const override { return shape_; }
  at::Tensor encode(const at::Tensor& x, Noise*) const override {
    return x * map_.scale + map_.shift;
  }
  at::Tensor decode(const at::Tensor& z) const override { return (z - map_.shift) / map_.scale; }
  std::optional<Affine> affine() const override { return map_; }

 private:
  double std_ = 1;
  Affine map_;
  std::vector<std::int64_t> shape_;
};
}  // namespace
SCORELAB_PLUGIN(Template, space, "template", "0.1.0",
                "data of one standard deviation; write what it is")
