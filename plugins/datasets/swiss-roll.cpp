#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <vector>

namespace {
using namespace scorelab;

/// The swiss roll seen along its axis: radius 1.5 pi (1 + 2 u), as wide as its angle, over 7;
/// Gaussian noise of standard deviation noise/7.
class SwissRoll final : public DataSet {
 public:
  void params(Params& p) override {
    p("noise", noise_, "standard deviation around the roll, before the division by 7")
        .range(0, 100);
  }
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {2}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    const at::Tensor like = at::empty({static_cast<std::int64_t>(index.size()), 2}, at::kDouble);
    const at::Tensor angle = 1.5 * M_PI * (1 + 2 * noise.uniform(like.narrow(1, 0, 1)));
    return (at::cat({angle * angle.cos(), angle * angle.sin()}, 1) + noise_ * noise.normal(like)) /
           7;
  }

 private:
  double noise_ = 0.5;
};
}  // namespace
SCORELAB_PLUGIN(SwissRoll, dataset, "swiss-roll", "1.0.0", "the swiss roll in the plane")
