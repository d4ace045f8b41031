#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>

namespace {
using namespace scorelab;

/// 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely & Rizzo 2013), unbiased: near 0, and as often below,
/// where the laws agree.
class EnergyDistance final : public Metric {
 public:
  void params(Params& p) override {
    space_.params(p);
    p("count", count_, "samples compared: cost grows with its square").range(2, 20000);
  }
  void prepare(const Setting& setting) override { space_.prepare(setting); }
  std::vector<Measurement> measure(const Measured& m) const override {
    const std::int64_t n = std::min(m.samples.size(), count_),
                       k = std::min(m.reference.size(), count_);
    if (std::min(n, k) < 2) throw Error("it takes two samples at least");
    const at::Tensor x = space_(m.samples.head(n)), y = space_(m.reference.head(k));
    const auto within = [](const at::Tensor& a) {
      const auto rows = static_cast<double>(a.size(0));
      return distances(a, a) / (rows * (rows - 1));
    };
    return {{"", 2 * distances(x, y) / static_cast<double>(n * k) - within(x) - within(y),
             space_.unit(), "min", "energy distance to the data"}};
  }

 private:
  /// The sum over all pairs, by tiles of rows: a whole matrix may not fit.
  static double distances(const at::Tensor& a, const at::Tensor& b) {
    double sum = 0;
    for (const auto& rows : a.split(2000)) sum += at::cdist(rows, b).sum().item<double>();
    return sum;
  }

  FeatureSpace space_;
  std::int64_t count_ = 2000;
};
}  // namespace
SCORELAB_PLUGIN(EnergyDistance, metric, "energy-distance", "1.0.0", "energy distance to the data")
