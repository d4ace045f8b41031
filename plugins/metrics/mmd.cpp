#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>

namespace {
using namespace scorelab;

/// The squared maximum mean discrepancy, unbiased (Gretton et al. 2012, equation 3), under a sum of Gaussian kernels whose widths are
/// multiples of the median distance between reference points. Near 0, and as often below, where the laws agree.
class Mmd final : public Metric {
 public:
  void params(Params& p) override {
    p("count", count_, "samples compared: cost and memory grow with its square").range(2, 20000);
    p("widths", widths_, "widths of the kernels, in medians").range(1e-6, 1e6);
  }
  void check() const override {
    if (widths_.empty()) throw Error("`widths` needs at least one kernel, such as [1.0]");
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    const std::int64_t n = std::min({m.samples.size(0), m.reference.size(0), count_});
    if (n < 2) throw Error("mmd needs at least two samples");
    const at::Tensor x = m.samples.narrow(0, 0, n).flatten(1), y = m.reference.narrow(0, 0, n).flatten(1);
    const at::Tensor xx = squared(x, x), yy = squared(y, y), xy = squared(x, y);
    const at::Tensor others = yy.masked_select(at::eye(n, yy.options()) == 0);
    const double median = std::max(others.median().item<double>(), 1e-30), pairs = static_cast<double>(n) * static_cast<double>(n - 1);
    double total = 0;
    for (const double w : widths_) {
      const auto kernel = [&](const at::Tensor& d) { return (d * (-0.5 / (w * w * median))).exp(); };
      const auto off_diagonal = [&](const at::Tensor& d) { return (kernel(d).sum().item<double>() - static_cast<double>(n)) / pairs; };
      total += off_diagonal(xx) + off_diagonal(yy) - 2 * kernel(xy).mean().item<double>();
    }
    return {{"", total / static_cast<double>(widths_.size()), "1", "min", "squared maximum mean discrepancy to the data, unbiased"}};
  }

 private:
  static at::Tensor squared(const at::Tensor& a, const at::Tensor& b) { return at::cdist(a, b).square(); }

  std::int64_t count_ = 2000;
  std::vector<double> widths_{0.25, 0.5, 1, 2};
};
}  // namespace
SCORELAB_PLUGIN(Mmd, metric, "mmd", "1.0.0", "squared maximum mean discrepancy to the data")
