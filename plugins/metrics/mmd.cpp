#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace {
using namespace scorelab;

/// The squared maximum mean discrepancy, unbiased (Gretton et al. 2012, equation 3), under a sum of
/// Gaussian kernels whose widths are multiples of the median distance between reference points.
/// Near 0, and as often below, where the laws agree.
class Mmd final : public Metric {
 public:
  void params(Params& p) override {
    p("count", count_, "samples compared: cost grows with its square").range(2, 20000);
    p("widths", widths_, "widths of the kernels, in medians").range(1e-6, 1e6);
  }
  void check() const override {
    if (widths_.empty()) throw Error("`widths` needs at least one kernel, such as [1.0]");
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    const std::int64_t n = std::min({m.samples.size(), m.reference.size(), count_});
    if (n < 2) throw Error("mmd needs at least two samples");
    const at::Tensor x = m.samples.head(n).all().flatten(1),
                     y = m.reference.head(n).all().flatten(1);
    const double median = std::max(median_of_pairs(y), 1e-30),
                 pairs = static_cast<double>(n) * static_cast<double>(n - 1);
    std::vector<double> slopes;
    for (const double w : widths_) slopes.push_back(-0.5 / (w * w * median));
    const auto within_x = kernels(x, x, slopes), within_y = kernels(y, y, slopes),
               across = kernels(x, y, slopes);
    const auto diagonal = static_cast<double>(n);
    double total = 0;
    for (std::size_t k = 0; k < slopes.size(); ++k)
      total += (within_x[k] - diagonal) / pairs + (within_y[k] - diagonal) / pairs -
               2 * across[k] / (diagonal * diagonal);
    return {{"", total / static_cast<double>(widths_.size()), "1", "min",
             "squared maximum mean discrepancy to the data, unbiased"}};
  }

 private:
  /// Squared distances of all pairs by tiles of rows: a whole matrix may not fit.
  static void tiles(const at::Tensor& a, const at::Tensor& b,
                    const std::function<void(const at::Tensor& d, std::int64_t first)>& f) {
    constexpr std::int64_t rows = 2000;
    for (std::int64_t first = 0; first < a.size(0); first += rows)
      f(at::cdist(a.narrow(0, first, std::min(rows, a.size(0) - first)), b).square(), first);
  }
  /// Of each kernel, the sum over all pairs.
  static std::vector<double> kernels(const at::Tensor& a, const at::Tensor& b,
                                     const std::vector<double>& slopes) {
    std::vector<double> sums(slopes.size(), 0);
    tiles(a, b, [&](const at::Tensor& d, std::int64_t) {
      for (std::size_t k = 0; k < slopes.size(); ++k)
        sums[k] += (d * slopes[k]).exp().sum().item<double>();
    });
    return sums;
  }
  /// The median squared distance of two different points, the lower of the two in the middle. Where
  /// there are too many pairs to keep, the interval that holds it is narrowed by histograms first.
  static double median_of_pairs(const at::Tensor& y) {
    constexpr std::int64_t kept = 4'000'000, bins = 1024;
    const std::int64_t n = y.size(0), rank = (n * (n - 1) - 1) / 2;
    const auto others = [&](const std::function<void(const at::Tensor&)>& f) {
      tiles(y, y, [&](const at::Tensor& d, std::int64_t first) {
        f(d.masked_select(at::arange(first, first + d.size(0)).unsqueeze(1) !=
                          at::arange(n).unsqueeze(0)));
      });
    };
    // No two points are farther apart than twice the farthest is from their mean, but for the
    // rounding of cdist.
    const double reach = (y - y.mean(0)).square().sum(1).max().item<double>(),
                 rounding = 1e-6 * y.square().sum(1).max().item<double>();
    const double largest = 4.0001 * reach + rounding;
    if (!std::isfinite(largest)) throw Error("the reference holds values that are not finite");
    double low = 0, high = largest;
    std::int64_t below = 0, inside = n * (n - 1);
    while (inside > kept) {
      at::Tensor counts = at::zeros({bins}, at::kDouble);
      double least = high, most = low;
      others([&](const at::Tensor& d) {
        counts += d.histc(bins, low, high);
        const at::Tensor own = d.masked_select((d >= low) & (d <= high));
        if (own.numel() > 0) {
          least = std::min(least, own.min().item<double>());
          most = std::max(most, own.max().item<double>());
        }
      });
      if (most - least <= 1e-12 * largest) return least;  // one number, but for rounding
      const at::Tensor passed = counts.cumsum(0) + static_cast<double>(below);
      const auto bin = (passed <= static_cast<double>(rank)).sum().item<std::int64_t>();
      // With the bins beside it, as a number at an edge may be counted in either.
      const std::int64_t from = std::max<std::int64_t>(0, bin - 1), to = std::min(bins, bin + 2);
      const double width = (high - low) / static_cast<double>(bins), begin = low;
      low = begin + static_cast<double>(from) * width;
      high = begin + static_cast<double>(to) * width;
      if (from > 0) below = static_cast<std::int64_t>(passed[from - 1].item<double>());
      inside = static_cast<std::int64_t>(counts.narrow(0, from, to - from).sum().item<double>());
    }
    std::vector<at::Tensor> candidates;
    below = 0;
    others([&](const at::Tensor& d) {
      below += (d < low).sum().item<std::int64_t>();
      candidates.push_back(d.masked_select((d >= low) & (d <= high)));
    });
    return std::get<0>(at::cat(candidates).kthvalue(rank - below + 1)).item<double>();
  }

  std::int64_t count_ = 2000;
  std::vector<double> widths_{0.25, 0.5, 1, 2};
};
}  // namespace
SCORELAB_PLUGIN(Mmd, metric, "mmd", "1.0.0", "squared maximum mean discrepancy to the data")
