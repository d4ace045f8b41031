#include <ATen/ATen.h>
#include <scorelab/error.h>
#include <scorelab/model.h>

namespace scorelab {

Prediction::Prediction(const Scheduler& scheduler, at::Tensor x, Times t, Quantity quantity, at::Tensor value, PerRow active)
    : scheduler_(&scheduler),
      x_(std::move(x)),
      value_(std::move(value)),
      t_(std::move(t)),
      quantity_(quantity),
      active_(std::move(active)) {
  if (value_.sizes() != x_.sizes() || value_.scalar_type() != x_.scalar_type()) {
    throw Error(c10::str("a prediction has x's shape and dtype, ", x_.sizes(), " ", x_.scalar_type(), "; got ", value_.sizes(), " ",
                         value_.scalar_type()));
  }
}

Prediction::Pair Prediction::coefficients(Quantity quantity) const {
  const Scheduler& q = *scheduler_;
  switch (quantity) {
    case Quantity::x0:
      return {1, 0};
    case Quantity::eps:
      return {0, 1};
    case Quantity::score:
      return {0, -1 / q.sigma(t_)};
    case Quantity::v:
      return {-q.sigma(t_), q.alpha(t_)};
    case Quantity::velocity:
      return {q.alpha_slope(t_), q.sigma_slope(t_)};
  }
  throw Error("no such quantity");
}

at::Tensor Prediction::masked(at::Tensor value) const {
  return active_.shared() && active_.one() != 0 ? value : where(active_, value, at::zeros_like(value));
}

at::Tensor Prediction::as(Quantity wanted) const {
  if (wanted == quantity_) return masked(value_);
  const Scheduler& q = *scheduler_;
  if (quantity_ == Quantity::score && wanted == Quantity::eps) return masked(-q.sigma(t_) * value_);
  // x = alpha x0 + sigma eps and value = a x0 + b eps: two equations, of which the wanted quantity, c x0 + d eps, is a combination
  // u x + w value.
  const auto [a, b] = coefficients(quantity_);
  const auto [c, d] = coefficients(wanted);
  const PerRow alpha = q.alpha(t_), sigma = q.sigma(t_);
  if (quantity_ == Quantity::score) {  // value = -eps/sigma: scaled by sigma^2, so that sigma = 0 has a clean sample
    const PerRow w = d - c * sigma / alpha;
    return masked((c / alpha) * x_ - (w * sigma) * value_);
  }
  const PerRow det = alpha * b - sigma * a;
  return masked(((c * b - d * a) / det) * x_ + ((alpha * d - sigma * c) / det) * value_);
}

Prediction Prediction::with(Quantity quantity, at::Tensor value) const {
  Prediction out(*scheduler_, x_, t_, quantity, std::move(value), active_);
  out.variance_ = variance_;
  out.range_ = range_;
  return out;
}

Prediction Prediction::at(at::Tensor x) const {
  Prediction out = with(Quantity::x0, x0());
  out.x_ = std::move(x);
  return out;
}

Prediction Prediction::detach(at::Tensor x, Quantity quantity) const {
  Prediction out = with(quantity, as(quantity).detach());
  out.x_ = std::move(x);
  if (variance_.defined()) out.variance_ = variance_.detach();
  return out;
}

Prediction Prediction::with_variance(at::Tensor raw, bool range) const {
  Prediction out = *this;
  out.variance_ = std::move(raw);
  out.range_ = range;
  return out;
}

at::Tensor Prediction::log_variance(const Times& s) const {
  if (!variance_.defined()) throw Error("the model says no variance: output.variance = \"none\"");
  const PerRow large = log(scheduler_->kernel(s, t_).sigma2);
  if (!range_) return masked(variance_ + large.column(x_));
  const PerRow small = log(scheduler_->posterior_variance(s, t_));
  const at::Tensor share = 0.5 * (variance_ + 1);
  return masked(large * share + small * (1 - share));
}

}  // namespace scorelab
