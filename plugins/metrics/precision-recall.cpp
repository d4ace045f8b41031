#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>

namespace {
using namespace scorelab;

/// Improved precision and recall (Kynkaanniemi et al. 2019): the share of the samples that lie within the data's balls, and the other way
/// round. A point's ball reaches to its k-th nearest neighbour in its own set.
class PrecisionRecall final : public Metric {
 public:
  void params(Params& p) override {
    space_.params(p);
    p("k", k_, "which neighbour a ball reaches to").range(1, 1000);
    p("count", count_, "samples compared: cost and memory grow with its square").range(2, 20000);
  }
  void prepare(const Setting& setting) override { space_.prepare(setting); }
  std::int64_t needs_samples(const std::vector<std::int64_t>&) const override { return k_ + 1; }
  std::vector<Measurement> measure(const Measured& m) const override {
    const std::int64_t n = std::min({m.samples.size(0), m.reference.size(0), count_});
    if (n <= k_) throw Error("k = " + std::to_string(k_) + " takes more samples than the " + std::to_string(n) + " there are");
    const at::Tensor x = space_(m.samples.narrow(0, 0, n)), y = space_(m.reference.narrow(0, 0, n));
    const at::Tensor between = at::cdist(x, y);
    const auto share = [](const at::Tensor& inside) { return inside.to(at::kDouble).mean().item<double>(); };
    return {{"precision", share((between <= radii(y).unsqueeze(0)).any(1)), "1", "max", "share of the samples that look like data"},
            {"recall", share((between <= radii(x).unsqueeze(1)).any(0)), "1", "max", "share of the data that samples look like"}};
  }

 private:
  /// The distance to the k-th nearest other: a point is its own nearest.
  at::Tensor radii(const at::Tensor& x) const { return std::get<0>(at::cdist(x, x).kthvalue(k_ + 1, 1)); }

  FeatureSpace space_;
  std::int64_t k_ = 3, count_ = 2000;
};
}  // namespace
SCORELAB_PLUGIN(PrecisionRecall, metric, "precision-recall", "1.0.0", "k-nearest-neighbour precision and recall")
