#include <ATen/ATen.h>
#include <scorelab/initial.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Uniform over a box, as Song & Ermon 2019 start Langevin dynamics (figure 3: [-8, 8]^2; images:
/// [0, 1]).
class Uniform final : public Initial {
 public:
  void params(Params& p) override {
    p("low", low_, "smallest value of an element").unit("data").range(-1e9, 1e9);
    p("high", high_, "largest value of an element").unit("data").range(-1e9, 1e9);
    p.needs("affine-space", "its box is of data units");
  }
  void check() const override {
    if (low_ >= high_) throw Error("`low` must be below `high`");
  }
  at::Tensor draw(const Start& start, Noise& noise) const override {
    const at::Tensor x = low_ + (high_ - low_) * noise.uniform(start.like);
    const Affine map = start.space.expect_affine();
    return x * map.scale + map.shift;
  }

 private:
  double low_ = 0, high_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Uniform, initial, "uniform", "1.0.0", "uniform over a box")
