#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <vector>

namespace {
using namespace scorelab;

/// Two half circles of radius 1, the second turned and moved by (1, -1/2), centred; with Gaussian
/// noise.
class TwoMoons final : public DataSet {
 public:
  void params(Params& p) override {
    p("noise", noise_, "standard deviation around the half circles").range(0, 100);
  }
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {2}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    const at::Tensor like = at::empty({static_cast<std::int64_t>(index.size()), 2}, at::kDouble);
    const at::Tensor u = noise.uniform(like), angle = M_PI * u.narrow(1, 0, 1),
                     second = (u.narrow(1, 1, 1) < 0.5).to(at::kDouble);
    const at::Tensor side = 1 - 2 * second;  // 1, or -1 for the second moon
    const at::Tensor x = side * angle.cos() + second - 0.5,
                     y = side * angle.sin() + 0.5 * second - 0.25;
    return at::cat({x, y}, 1) + noise_ * noise.normal(like);
  }

 private:
  double noise_ = 0.05;
};
}  // namespace
SCORELAB_PLUGIN(TwoMoons, dataset, "two-moons", "1.0.0",
                "two half circles that reach into each other")
