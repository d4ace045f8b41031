#include <ATen/ATen.h>
#include <fmt/format.h>
#include <scorelab/error.h>
#include <scorelab/model.h>

#include <algorithm>
#include <cmath>

namespace scorelab {
namespace {

struct Pair {
  PerRow x0, eps;  // coefficients of a quantity
};

Pair coefficients(Quantity quantity, const Scheduler& q, const Times& t) {
  switch (quantity) {
    case Quantity::x0:
      return {1, 0};
    case Quantity::eps:
      return {0, 1};
    case Quantity::score:
      return {0, -1 / q.sigma(t)};
    case Quantity::v:
      return {-q.sigma(t), q.alpha(t)};
    case Quantity::velocity:
      return {q.alpha_slope(t), q.sigma_slope(t)};
  }
  throw Error("no such quantity");
}

/// alpha b - sigma a for a x0 + b eps: 0 where x says as much as it does, so that x0 does not
/// follow from both. With x known, an error of (x0, eps) is a multiple of (-sigma, alpha), and the
/// quantity's is so many times that.
PerRow determinant(Quantity quantity, const Scheduler& q, const Times& t) {
  const auto [a, b] = coefficients(quantity, q, t);
  return q.alpha(t) * b - q.sigma(t) * a;
}

const char* name_of(Quantity quantity) {
  constexpr const char* names[] = {"x0", "eps", "score", "v", "velocity"};
  return names[static_cast<int>(quantity)];
}

}  // namespace

at::Tensor value_of(Quantity quantity, const Scheduler& q, const Times& t, const at::Tensor& x0,
                    const at::Tensor& eps) {
  if (quantity == Quantity::x0) return x0;
  if (quantity == Quantity::eps) return eps;
  const auto [a, b] = coefficients(quantity, q, t);
  for (std::size_t r = 0; r < b.rows(); ++r)
    if (!std::isfinite(b[r]))
      throw Error(
          fmt::format("no {} is defined at t = {}, where sigma is 0", name_of(quantity), t[r]));
  return combine(a, x0, b, eps);
}

Prediction::Prediction(const Scheduler& scheduler, at::Tensor x, Times t, Quantity quantity,
                       at::Tensor value, PerRow active)
    : scheduler_(&scheduler),
      x_(std::move(x)),
      value_(std::move(value)),
      t_(std::move(t)),
      quantity_(quantity),
      active_(std::move(active)) {
  if (value_.sizes() != x_.sizes() || value_.scalar_type() != x_.scalar_type()) {
    throw Error(c10::str("a prediction has x's shape and dtype, ", x_.sizes(), " ",
                         x_.scalar_type(), "; got ", value_.sizes(), " ", value_.scalar_type()));
  }
}

/// Throws where what is stated leaves open what is wanted, in a row that is on.
void Prediction::expect_signal(const PerRow& det, Quantity wanted) const {
  for (std::size_t r = 0; r < std::max(det.rows(), active_.rows()); ++r)
    if (det[r] == 0 && active_[r] != 0)
      throw Error(
          fmt::format("at t = {} {} cannot give {}: {}. Predict x0, v or velocity "
                      "(output.predict), or end the process before",
                      t_[r], name_of(quantity_), name_of(wanted),
                      scheduler_->alpha(t_[r]).one() == 0 ? "alpha is 0 there, and x is noise alone"
                                                          : "it is a multiple of x"));
}

at::Tensor Prediction::masked(at::Tensor value) const {
  return active_.shared() && active_.one() != 0 ? value
                                                : where(active_, value, at::zeros_like(value));
}

at::Tensor Prediction::as(Quantity wanted) const {
  if (wanted == quantity_) return masked(value_);
  const Scheduler& q = *scheduler_;
  if (quantity_ == Quantity::score && wanted == Quantity::eps) return masked(-q.sigma(t_) * value_);
  // x = alpha x0 + sigma eps and value = a x0 + b eps: two equations, of which the wanted quantity,
  // c x0 + d eps, is a combination u x + w value.
  const auto [a, b] = coefficients(quantity_, q, t_);
  const auto [c, d] = coefficients(wanted, q, t_);
  const PerRow alpha = q.alpha(t_), sigma = q.sigma(t_);
  // value = -eps/sigma: scaled by sigma^2, so that sigma = 0 has a clean sample
  if (quantity_ == Quantity::score) {
    expect_signal(alpha, wanted);
    const PerRow w = d - c * sigma / alpha;
    return masked(combine(c / alpha, x_, -(w * sigma), value_));
  }
  const PerRow det = alpha * b - sigma * a;
  expect_signal(det, wanted);
  return masked(combine((c * b - d * a) / det, x_, (alpha * d - sigma * c) / det, value_));
}

at::Tensor Prediction::error(Quantity quantity, const at::Tensor& x0, const at::Tensor& eps) const {
  const at::Tensor stated = value_ - value_of(quantity_, *scheduler_, t_, x0, eps);
  if (quantity == quantity_) return masked(stated);
  const PerRow det = determinant(quantity_, *scheduler_, t_);
  expect_signal(det, quantity);
  return masked((determinant(quantity, *scheduler_, t_) / det) * stated);
}

at::Tensor Prediction::error_of_output(const at::Tensor& x0, const at::Tensor& eps) const {
  return slope_ * error(quantity_, x0, eps);
}

Prediction Prediction::with_slope(PerRow of_output) const {
  Prediction out = *this;
  out.slope_ = std::move(of_output);
  return out;
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
  if (!variance_.defined())
    throw Error("the model predicts no variance: output.variance = \"none\"");
  const PerRow large = log(scheduler_->kernel(s, t_).sigma2);
  if (!range_) return masked(variance_ + large.column(x_));
  const PerRow small = log(scheduler_->posterior_variance(s, t_));
  const at::Tensor share = 0.5 * (variance_ + 1);
  return masked(large * share + small * (1 - share));
}

}  // namespace scorelab
