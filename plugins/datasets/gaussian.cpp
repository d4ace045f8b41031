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
    p("power", power_,
      "variances fall over the dimensions as k^-power, and their mean is std^2; 0: they are std^2 "
      "themselves")
        .range(0, 100);
    for (const char* name : {"gaussian-law", "mixture-law"}) p.gives(name);
    p.gives("density").above("dim", 0);
  }
  void check() const override {
    for (const auto* list : {&mean_, &std_})
      if (list->size() != 1 && static_cast<std::int64_t>(list->size()) != dim_)
        throw Error("`mean` and `std` take one number, or `dim` of them");
    if (power_ > 0 && std_.size() != 1)
      throw Error("with `power` the law says how variances fall: `std` takes one number");
  }
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {dim_}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    const at::Tensor z =
        noise.normal(at::empty({static_cast<std::int64_t>(index.size()), dim_}, at::kDouble));
    return row(mean_) + z * std();
  }
  std::optional<Law> exact() const override {
    return Law{at::ones({1}, at::kDouble), row(mean_), std().square(), {}};
  }

 private:
  at::Tensor std() const {
    if (power_ == 0) return row(std_);
    const at::Tensor fall = at::arange(1, dim_ + 1, at::kDouble).pow(-power_);
    return (std_[0] * (fall / fall.mean()).sqrt()).unsqueeze(0);
  }
  at::Tensor row(const std::vector<double>& list) const {
    return at::tensor(list, at::kDouble).expand({dim_}).contiguous().unsqueeze(0);
  }

  std::int64_t dim_ = 2;
  double power_ = 0;
  std::vector<double> mean_{0}, std_{1};
};
}  // namespace
SCORELAB_PLUGIN(Gaussian, dataset, "gaussian", "1.0.0", "a Gaussian with independent coordinates")
