#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <vector>

namespace {
using namespace scorelab;

/// A Gaussian with independent coordinates, of any spectrum.
class Gaussian final : public DataSet {
 public:
  void params(Params& p) override {
    p("dim", dim_, "number of dimensions").range(1, 1e6);
    p("mean", mean_, "one number for all dimensions, or one each");
    p("std", std_, "standard deviations: one for all dimensions, or one each").range(0, 1e9);
    for (const char* name : {"gaussian-law", "mixture-law"}) p.gives(name);
    p.gives("density").above("dim", 0);
  }
  void check() const override {
    for (const auto* list : {&mean_, &std_})
      if (list->size() != 1 && static_cast<std::int64_t>(list->size()) != dim_)
        throw Error("`mean` and `std` take one number, or `dim` of them");
  }
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {dim_}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    const at::Tensor z = noise.normal(at::empty({static_cast<std::int64_t>(index.size()), dim_}, at::kDouble));
    return row(mean_) + z * row(std_);
  }
  std::optional<Law> exact() const override { return Law{at::ones({1}, at::kDouble), row(mean_), row(std_).square(), {}}; }

 private:
  at::Tensor row(const std::vector<double>& list) const { return at::tensor(list, at::kDouble).expand({dim_}).contiguous().unsqueeze(0); }

  std::int64_t dim_ = 2;
  std::vector<double> mean_{0}, std_{1};
};
}  // namespace
SCORELAB_PLUGIN(Gaussian, dataset, "gaussian", "1.0.0", "a Gaussian with independent coordinates")
