#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// N(1, 0.5^2) in two dimensions, which the model sees as 2 y + 3.
struct ScaledGaussian final : DataSet {
  void params(Params& p) override {
    for (const char* name : {"gaussian-law", "mixture-law", "density"}) p.gives(name);
  }
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {2}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    return 1 +
           0.5 * noise.normal(at::empty({static_cast<std::int64_t>(index.size()), 2}, at::kDouble));
  }
  std::optional<Law> exact() const override {
    const at::Tensor one = at::ones({1, 2}, at::kDouble);
    return Law{at::ones({1}, at::kDouble), one, 0.25 * one, {}};
  }
  Affine to_model() const override { return {2, 3}; }
};
}  // namespace
SCORELAB_PLUGIN(ScaledGaussian, dataset, "scaled-gaussian", "1.0.0",
                "a Gaussian whose units are not the model's")
