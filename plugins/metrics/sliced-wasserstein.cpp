#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>

namespace {
using namespace scorelab;

/// The sliced 2-Wasserstein distance: the root of the mean, over random directions, of the squared distance between sorted projections
/// (Rabin et al. 2011). In data units; two equal laws leave a floor that shrinks with the number of samples.
class SlicedWasserstein final : public Metric {
 public:
  void params(Params& p) override { p("projections", projections_, "random directions").range(1, 100000); }
  std::vector<Measurement> measure(const Measured& m) const override {
    const std::int64_t n = std::min(m.samples.size(0), m.reference.size(0));
    const at::Tensor a = m.samples.narrow(0, 0, n).flatten(1), b = m.reference.narrow(0, 0, n).flatten(1);
    at::Tensor v = m.noise.normal(at::empty({1, a.size(1), projections_}, a.options())).squeeze(0);
    v = v / v.norm(2, 0, true);
    const at::Tensor gap = std::get<0>(a.matmul(v).sort(0)) - std::get<0>(b.matmul(v).sort(0));
    return {{"", std::sqrt(gap.square().mean().item<double>()), "data", "min", "sliced 2-Wasserstein distance to the data"}};
  }

 private:
  std::int64_t projections_ = 256;
};
}  // namespace
SCORELAB_PLUGIN(SlicedWasserstein, metric, "sliced-wasserstein", "1.0.0", "sliced 2-Wasserstein distance to the data")
