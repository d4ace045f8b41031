#include <ATen/ATen.h>
#include <scorelab/bound.h>
#include <scorelab/dataset.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <limits>

namespace {
using namespace scorelab;

/// Progressive coding: Ho et al. 2020, section 4.3 and table 4. A receiver who has been sent x_T,
/// x_{T-1}, .. x_t has got the bits of those terms of the variational bound, and predicts x_0 from
/// x_t.
class ProgressiveCoding final : public Metric {
 public:
  void params(Params& p) override {
    on_model_.params(p);
    bound_.params(p);
    p.needs("affine-space", "its distortion is of the model's values, in data units");
    p("after", after_,
      "number of reverse steps, T - t + 1 of T, after which rate and rmse are taken; 0: all but "
      "the last, t = 1")
        .range(0, 1e6);
  }
  void prepare(const Setting& setting) override {
    options_ = setting.options;
    bound_.prepare(setting);
    if (after_ > setting.scheduler->levels())
      throw Error("`after` is " + std::to_string(after_) + ", and this process has " +
                  std::to_string(setting.scheduler->levels()) + " steps");
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    Model& model = *m.model;
    const auto& q = model.scheduler();
    const at::Tensor x0 = m.space->encode(m.reference.all(), nullptr).to(options_);
    const double scale = m.space->expect_affine().scale;
    const double bits = std::log(2.0) * static_cast<double>(x0.numel() / x0.size(0));
    const auto mean = [](const at::Tensor& x) { return x.to(at::kDouble).mean().item<double>(); };
    const std::int64_t n = q.levels();
    std::vector<double> t(n), rate(n), rmse(n);
    double sent = mean(Bound::prior(q, x0)) / bits;
    for (std::int64_t i = n; i >= 1; --i) {
      t[i - 1] = static_cast<double>(i) / static_cast<double>(n);
      Noise noise = m.noise.stream("eps", i);
      const at::Tensor x = q.alpha(t[i - 1]) * x0 + q.sigma(t[i - 1]) * noise.normal(x0);
      const Prediction p = model(x, t[i - 1]);
      rate[i - 1] = sent;  // of x_t, which the terms before it have described
      rmse[i - 1] = std::sqrt(mean((p.x0() - x0).square())) / scale;
      sent += mean(bound_.term(p, x0, q.level_below(t[i - 1]))) / bits;
    }
    const std::size_t at = after_ == 0 ? 0 : n - after_;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {
        {"rate", rate[at], "bit/dim", "none", "bits sent so far"},
        {"rmse", rmse[at], "data", "min", "root of the mean square of x0 less its prediction"},
        {"rates", nan, "bit/dim", "none", "bits sent until x_t is known",
         Measurement::Array{"t", t, rate}},
        {"rmses", nan, "data", "min", "root of the mean square of x0 less its prediction from x_t",
         Measurement::Array{"t", t, rmse}}};
  }

 private:
  at::TensorOptions options_;
  OnModel on_model_;
  Bound bound_;
  std::int64_t after_ = 0;
};
}  // namespace
SCORELAB_PLUGIN(ProgressiveCoding, metric, "progressive-coding", "1.0.0",
                "rate and distortion of data sent step by step")
