#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <limits>

namespace {
using namespace scorelab;

/// Asks the model at t_max, `times` times over. The value is the mean square of the first answer's
/// eps; `points` counts the draws.
struct Asks final : Metric {
  void params(Params& p) override {
    on_model_.params(p);
    p("times", times_, "evaluations of each point").range(0, 1000);
    p("coordinates", coordinates_, "of the array, which has three values").range(0, 10);
  }
  void prepare(const Setting& setting) override { options_ = setting.options; }
  std::vector<Measurement> measure(const Measured& m) const override {
    const at::Tensor x = m.reference.all().to(options_);
    double square = 0;
    for (std::int64_t i = 0; i < times_; ++i) {
      const at::Tensor eps = (*m.model)(x, m.model->scheduler().t_max()).eps();
      if (i == 0) square = eps.square().mean().to(at::kDouble).item<double>();
    }
    const double inf = std::numeric_limits<double>::infinity(),
                 nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> at;
    for (std::int64_t i = 0; i < coordinates_; ++i) at.push_back(static_cast<double>(i));
    return {{"", square, "1", "none", "mean square of eps at t_max"},
            {"points", static_cast<double>(x.size(0)), "1", "none", "draws of the data"},
            {"seconds", -1, "1", "none", "a part with the name of a cost"},
            {"odd", nan, "nat", "max", "numbers that JSON has not",
             Measurement::Array{"place", at, {1.5, inf, nan}}}};
  }
  at::TensorOptions options_;
  OnModel on_model_;
  std::int64_t times_ = 1, coordinates_ = 3;
};
}  // namespace
SCORELAB_PLUGIN(Asks, metric, "asks", "1.0.0",
                "asks the model, and measures an array with odd values")
