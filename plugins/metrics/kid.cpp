#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// The kernel distance (Binkowski et al. 2018): the unbiased estimate of the squared maximum mean
/// discrepancy with the kernel k(x, y) = (x . y / F + 1)^3. With Inception's features this is the
/// KID. Of all samples at once: averages over random subsets, as published ones are, have the same
/// expectation and a larger variance. Unlike the Frechet distance it has no bias by the number of
/// samples; it may be below 0.
class Kid final : public Metric {
 public:
  void params(Params& p) override { space_.params(p); }
  void prepare(const Setting& setting) override { space_.prepare(setting); }
  std::int64_t needs_samples(const std::vector<std::int64_t>&) const override { return 100; }
  std::vector<Measurement> measure(const Measured& m) const override {
    const at::Tensor x = space_(m.samples), y = space_(m.reference);
    if (x.size(0) < 2 || y.size(0) < 2) throw Error("it takes two samples at least");
    return {{"", within(x) + within(y) - 2 * total(x, y) / pairs(x.size(0), y.size(0)), "1", "min",
             "squared maximum mean discrepancy to the data, cubic kernel"}};
  }

 private:
  // rows at a time: a whole matrix of kernels may not fit
  static constexpr std::int64_t tile = 2000;
  static double pairs(std::int64_t n, std::int64_t m) {
    return static_cast<double>(n) * static_cast<double>(m);
  }
  static at::Tensor kernel(const at::Tensor& dot, std::int64_t features) {
    return (dot / static_cast<double>(features) + 1).pow(3);
  }
  static double total(const at::Tensor& x, const at::Tensor& y) {
    double sum = 0;
    for (const auto& rows : x.split(tile))
      sum += kernel(rows.matmul(y.t()), x.size(1)).sum().item<double>();
    return sum;
  }
  /// The mean over pairs of different points.
  static double within(const at::Tensor& x) {
    const double own = kernel(x.square().sum(1), x.size(1)).sum().item<double>();
    return (total(x, x) - own) / pairs(x.size(0), x.size(0) - 1);
  }

  FeatureSpace space_;
};
}  // namespace
SCORELAB_PLUGIN(Kid, metric, "kid", "1.0.0",
                "kernel distance to the data (KID), of values or of a classifier's features")
