#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// How far the mean distance from the origin is from the data's.
class Template final : public Metric {
 public:
  void params(Params& p) override {
    p("order", order_, "1: the mean distance; 2: the root of the mean square").range(1, 2);
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    const double own = size(m.samples), data = size(m.reference);
    return {
        {"", std::abs(own - data), "data", "min", "difference of the distances from the origin"}};
  }

 private:
  double size(const Items& items) const {
    const auto order = static_cast<double>(order_);
    double sum = 0;
    items.in_batches([&](const at::Tensor& x) {
      sum += x.flatten(1).norm(2, 1).pow(order).sum().item<double>();
    });
    return std::pow(sum / static_cast<double>(items.size()), 1 / order);
  }

  std::int64_t order_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Template, metric, "template", "0.1.0", "difference in size; write what it is")
