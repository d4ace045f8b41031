#include "output.h"

#include <ATen/ATen.h>

namespace scorelab {

at::Tensor Output::input(const Scheduler& q, const at::Tensor& x, const Times& t) const {
  if (options_.predict != "edm") return x;
  const PerRow ratio = q.sigma(t) / q.alpha(t);
  const double sd = options_.sigma_data;
  return x / (q.alpha(t) * sqrt(square(ratio) + sd * sd));  // c_in, with x / alpha as EDM's x
}

PerRow Output::time(const Scheduler& q, const Times& t) const {
  if (options_.predict == "edm") return 0.25 * log(q.sigma(t) / q.alpha(t));  // c_noise
  return t.map([&q](double x) { return q.conditioning(x); });
}

Quantity Output::states() const {
  if (options_.predict == "eps" || options_.predict == "score-over-sigma") return Quantity::eps;
  if (options_.predict == "v") return Quantity::v;
  if (options_.predict == "velocity") return Quantity::velocity;
  if (options_.predict == "score") return Quantity::score;
  return Quantity::x0;
}

Prediction Output::read(const Scheduler& q, const at::Tensor& x, const Times& t,
                        const at::Tensor& answer, const PerRow& active) const {
  const std::int64_t channels = x.size(1);
  const at::Tensor F = parts() == 1 ? answer : answer.narrow(1, 0, channels);
  at::Tensor value = F;
  PerRow slope = 1;  // of F in the quantity that is stated
  if (options_.predict == "score-over-sigma") {
    value = -F;
    slope = -1;
  }
  // F = A x0 + B x, the mean of q(x_s | x_t, x_0), one level below
  if (options_.predict == "mean") {
    const Times s = t.map([&q](double u) { return q.level_below(u); });
    const auto [alpha, beta] = q.kernel(s, t);
    const PerRow A = q.alpha(s) * beta / square(q.sigma(t)),
                 B = alpha * square(q.sigma(s) / q.sigma(t));
    value = (F - B * x) / A;
    slope = A;
  }
  if (options_.predict == "edm") {
    const double sd = options_.sigma_data;
    const PerRow ratio = q.sigma(t) / q.alpha(t), total = square(ratio) + sd * sd;
    value = (sd * sd / (total * q.alpha(t))) * x + (ratio * sd / sqrt(total)) * F;  // c_skip, c_out
    slope = sqrt(total) / (ratio * sd);
  }
  const Prediction out = Prediction(q, x, t, states(), value, active).with_slope(slope);
  return parts() == 1 ? out
                      : out.with_variance(answer.narrow(1, channels, channels),
                                          options_.variance == "learned-range");
}

}  // namespace scorelab
