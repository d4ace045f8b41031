#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>

namespace {
using namespace scorelab;

/// The sliced 2-Wasserstein distance: the root of the mean, over random directions, of the squared
/// distance between sorted projections (Rabin et al. 2011). In data units; two equal laws leave a
/// floor that shrinks with the number of samples.
class SlicedWasserstein final : public Metric {
 public:
  void params(Params& p) override {
    p("projections", projections_, "random directions").range(1, 100000);
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    const std::int64_t n = std::min(m.samples.size(), m.reference.size());
    at::Tensor v =
        m.noise
            .normal(at::empty({1, c10::multiply_integers(m.samples.shape()), projections_},
                              at::kDouble))
            .squeeze(0);
    v = v / v.norm(2, 0, true);
    const at::Tensor gap = projected(m.samples.head(n), v) - projected(m.reference.head(n), v);
    return {{"", std::sqrt(gap.square().mean().item<double>()), "data", "min",
             "sliced 2-Wasserstein distance to the data"}};
  }

 private:
  /// [projections, n], each row sorted: rows are contiguous, which sorts several times faster than
  /// columns.
  static at::Tensor projected(const Items& items, const at::Tensor& directions) {
    at::Tensor out = at::empty({directions.size(1), items.size()}, at::kDouble);
    std::int64_t done = 0;
    items.in_batches([&](const at::Tensor& batch) {
      out.narrow(1, done, batch.size(0)).copy_(batch.flatten(1).matmul(directions).t());
      done += batch.size(0);
    });
    return std::get<0>(out.sort(1));
  }

  std::int64_t projections_ = 256;
};
}  // namespace
SCORELAB_PLUGIN(SlicedWasserstein, metric, "sliced-wasserstein", "1.0.0",
                "sliced 2-Wasserstein distance to the data")
