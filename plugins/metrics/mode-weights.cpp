#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// The share of the samples in each component of the data's mixture: the mean responsibility. Where
/// components are points, or nearly, they are given the width `std`, so that a sample belongs to
/// the nearest.
class ModeWeights final : public Metric {
 public:
  void params(Params& p) override {
    p("std", std_, "the components are widened by it, as by noise").unit("data").range(1e-9, 1e9);
    p.needs("mixture-law", "it counts by the components of the data's law");
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    if (!m.law) throw Error("the data set states no law");
    at::Tensor share = at::zeros({m.law->weights.size(0)}, at::kDouble);
    m.samples.in_batches([&](const at::Tensor& x) {
      const at::Tensor one = at::ones({x.size(0)}, at::kDouble);
      share += m.law->responsibilities(x, one, std_ * one).sum(0);
    });
    share /= static_cast<double>(m.samples.size());
    std::vector<Measurement> out{
        {"", 0.5 * (share - m.law->weights).abs().sum().item<double>(), "1", "min",
         "total variation distance of the components' weights to the data's"}};
    for (std::int64_t k = 0; k < share.size(0); ++k)
      out.push_back({std::to_string(k), share[k].item<double>(), "1", "none",
                     "share of the samples in this component"});
    return out;
  }

 private:
  double std_ = 1e-3;
};
}  // namespace
SCORELAB_PLUGIN(ModeWeights, metric, "mode-weights", "1.0.0",
                "share of the samples in each mode of a mixture")
