#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>

namespace {
using namespace scorelab;

/// Improved precision and recall (Kynkaanniemi et al. 2019): the share of the samples that lie
/// within the data's balls, and the other way round. A point's ball reaches to its k-th nearest
/// neighbour in its own set. Beside them density and coverage (Naeem et al. 2020), which outliers
/// of the data mislead less: how many of the data's balls a sample lies in, over k; and the share
/// of the data's balls that hold a sample.
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
    const at::Tensor balls = radii(y), of_samples = counts(x, y, balls);
    return {{"precision", share(of_samples > 0), "1", "max",
             "share of the samples that look like data"},
            {"recall", share(counts(y, x, radii(x)) > 0), "1", "max",
             "share of the data that samples look like"},
            {"density", share(of_samples) / static_cast<double>(k_), "1", "max",
             "data's balls that a sample lies in, over k: about 1 for new draws of the data"},
            {"coverage", covered(y, x, balls), "1", "max",
             "share of the data with a sample in their ball"}};
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
  /// In how many balls about the centers each of these points lies.
  static at::Tensor counts(const at::Tensor& points, const at::Tensor& centers,
                           const at::Tensor& radii) {
    std::vector<at::Tensor> parts;
    for (const auto& rows : points.split(tile))
      parts.push_back((at::cdist(rows, centers) <= radii.unsqueeze(0)).sum(1));
    return at::cat(parts);
  }
  /// The share of the balls about the centers that hold one of these points.
  static double covered(const at::Tensor& centers, const at::Tensor& points,
                        const at::Tensor& radii) {
    at::Tensor nearest = at::full_like(radii, INFINITY);
    for (const auto& rows : points.split(tile))
      nearest = at::minimum(nearest, at::cdist(rows, centers).amin(0));
    return share(nearest <= radii);
  }
  static double share(const at::Tensor& x) { return x.to(at::kDouble).mean().item<double>(); }

  FeatureSpace space_;
  std::int64_t k_ = 3, count_ = 2000;
};
}  // namespace
SCORELAB_PLUGIN(PrecisionRecall, metric, "precision-recall", "1.1.0",
                "k-nearest-neighbour precision, recall, density and coverage")
