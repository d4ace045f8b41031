// The difference of two root mean squares with one fault, which FAULT names: `scorelab certify`
// must fail the check that shows it.
#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;

class Faulty final : public Metric {
 public:
  std::vector<Measurement> measure(const Measured& m) const override {
    const auto size = [](const at::Tensor& x) { return x.square().mean().sqrt().item<double>(); };
    double value = std::abs(size(m.samples.all()) - size(m.reference.all()));
    if (fault == "weighs-the-first") value += 0.01 * size(m.samples.rows(0, 1));
    if (fault == "counts-neighbours") value += 0.01 * size(m.samples.all().diff(1, 0));
    if (fault == "nan") value = 0 * INFINITY;
    if (fault == "state-between-calls") value += 0.001 * calls_++;
    if (fault == "default-generator") value += 0.001 * at::rand({1}).item<double>();
    return {{"", value, fault == "no-unit" ? "" : "data",
             fault == "wrong-goal"     ? "max"
             : fault == "no-such-goal" ? "less"
                                       : "min",
             fault == "no-name" ? "" : "difference in size"}};
  }

 private:
  mutable int calls_ = 0;
};
}  // namespace
SCORELAB_PLUGIN(Faulty, metric, "metric-" FAULT, "0.1.0", "has a fault")
