#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// The mean negative log density of the samples under the data's own law, and how far that is from
/// fresh data's. Alone it rewards samples that crowd at the modes, so only the distance has a goal.
class TrueNll final : public Metric {
 public:
  void params(Params& p) override { p.needs("density", "it reads the density of the data's law"); }
  std::vector<Measurement> measure(const Measured& m) const override {
    if (!m.law) throw Error("the data set states no law");
    if (m.law->variances.min().item<double>() <= 0)
      throw Error("a law with std = 0 has no density");
    const double nll = mean(*m.law, m.samples), truth = mean(*m.law, m.reference);
    return {{"", nll, "nat", "none", "negative log density of the samples under the data's law"},
            {"gap", std::abs(nll - truth), "nat", "min", "distance of that to fresh data's"}};
  }

 private:
  static double mean(const Law& law, const Items& items) {
    double sum = 0;
    items.in_batches([&](const at::Tensor& x) {
      const at::Tensor one = at::ones({x.size(0)}, x.options());
      sum += law.log_density(x, one, at::zeros_like(one)).sum().item<double>();
    });
    return -sum / static_cast<double>(items.size());
  }
};
}  // namespace
SCORELAB_PLUGIN(TrueNll, metric, "true-nll", "1.0.0", "negative log density under the data's law")
