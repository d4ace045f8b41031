#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// A ring in the plane. Every number that it draws comes from the Noise that it is handed.
class Template final : public DataSet {
 public:
  void params(Params& p) override {
    p("radius", radius_, "of the ring").range(0.01, 100);
    p("noise", noise_, "standard deviation around it").range(0, 10);
  }
  std::int64_t size() const override { return 0; }  // drawn afresh for ever
  std::vector<std::int64_t> shape() const override { return {2}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    const auto n = static_cast<std::int64_t>(index.size());
    const at::Tensor angle = 2 * M_PI * noise.uniform(at::empty({n, 1}, at::kDouble));
    return radius_ * at::cat({angle.cos(), angle.sin()}, 1) +
           noise_ * noise.normal(at::empty({n, 2}, at::kDouble));
  }

 private:
  double radius_ = 1, noise_ = 0.05;
};
}  // namespace
SCORELAB_PLUGIN(Template, dataset, "template", "0.1.0", "a ring; write what it is")
