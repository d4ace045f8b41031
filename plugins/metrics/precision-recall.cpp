#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>

namespace {
using namespace scorelab;

/// Improved precision and recall (Kynkaanniemi et al. 2019): the share of the samples that lie
/// within the data's balls, and the other way round. A point's ball reaches to its k-th nearest
/// neighbour in its own set.
class PrecisionRecall final : public Metric {
 public:
  void params(Params& p) override {
    space_.params(p);
    p("k", k_, "which neighbour a ball reaches to").range(1, 1000);
    p("count", count_, "samples compared: cost grows with its square").range(2, 20000);
  }
  void prepare(const Setting& setting) override { space_.prepare(setting); }
  std::int64_t needs_samples(const std::vector<std::int64_t>&) const override { return k_ + 1; }
  std::vector<Measurement> measure(const Measured& m) const override {
    const std::int64_t n = std::min({m.samples.size(), m.reference.size(), count_});
    if (n <= k_)
      throw Error("k = " + std::to_string(k_) + " takes more samples than the " +
                  std::to_string(n) + " there are");
    const at::Tensor x = space_(m.samples.head(n)), y = space_(m.reference.head(n));
    return {
        {"precision", within(x, y, radii(y)), "1", "max",
         "share of the samples that look like data"},
        {"recall", within(y, x, radii(x)), "1", "max", "share of the data that samples look like"}};
  }

 private:
  // rows at a time: a whole matrix of distances may not fit
  static constexpr std::int64_t tile = 2000;
  /// The distance to the k-th nearest other: a point is its own nearest.
  at::Tensor radii(const at::Tensor& x) const {
    std::vector<at::Tensor> parts;
    for (const auto& rows : x.split(tile))
      parts.push_back(std::get<0>(at::cdist(rows, x).kthvalue(k_ + 1, 1)));
    return at::cat(parts);
  }
  /// The share of these points that lie in some ball about the centers.
  static double within(const at::Tensor& points, const at::Tensor& centers,
                       const at::Tensor& radii) {
    std::vector<at::Tensor> parts;
    for (const auto& rows : points.split(tile))
      parts.push_back((at::cdist(rows, centers) <= radii.unsqueeze(0)).any(1));
    return at::cat(parts).to(at::kDouble).mean().item<double>();
  }

  FeatureSpace space_;
  std::int64_t k_ = 3, count_ = 2000;
};
}  // namespace
SCORELAB_PLUGIN(PrecisionRecall, metric, "precision-recall", "1.0.0",
                "k-nearest-neighbour precision and recall")
