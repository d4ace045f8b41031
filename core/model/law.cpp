#include <ATen/ATen.h>
#include <scorelab/law.h>

namespace scorelab {
namespace {

/// [B, K, ..] summed over its last dimension. A lone row is doubled: see row_dot.
at::Tensor sum_last(const at::Tensor& x) {
  if (x.size(0) == 1) return at::cat({x, x}).sum(-1).narrow(0, 0, 1);
  return x.sum(-1);
}

struct Parts {
  at::Tensor offset;     // x - alpha mu_k along the axes, [B, K, D]
  at::Tensor variance;   // alpha^2 lambda_k + sigma^2, [B, K, D]
  at::Tensor log_terms;  // log w_k N(x; ..), [B, K]
};

Parts parts(const Law& law, const at::Tensor& flat, const at::Tensor& alpha,
            const at::Tensor& sigma) {
  const at::Tensor a = alpha.view({-1, 1, 1}), s = sigma.view({-1, 1, 1});
  at::Tensor offset = flat.unsqueeze(1) - a * law.means.unsqueeze(0);
  if (law.bases.defined())
    offset = sum_last(offset.unsqueeze(-2) * law.bases.transpose(1, 2).unsqueeze(0));
  const at::Tensor variance = a.square() * law.variances.unsqueeze(0) + s.square();
  const at::Tensor log_terms =
      law.weights.log().unsqueeze(0) -
      0.5 * sum_last(offset.square() / variance + (variance * (2 * M_PI)).log());
  return {offset, variance, log_terms};
}

}  // namespace

Law Law::mapped(double scale, double shift) const {
  return {weights, means * scale + shift, variances * (scale * scale), bases};
}

Law Law::like(const at::Tensor& x) const {
  const auto move = [&x](const at::Tensor& v) {
    return v.defined() ? v.to(x.device(), x.scalar_type()) : v;
  };
  return {move(weights), move(means), move(variances), move(bases)};
}

at::Tensor Law::mean() const { return (weights.unsqueeze(1) * means).sum(0); }

at::Tensor Law::covariance() const {
  const at::Tensor off = means - mean(),
                   within = bases.defined()
                                ? bases.matmul(variances.unsqueeze(-1) * bases.transpose(1, 2))
                                : variances.diag_embed();
  return (within * weights.view({-1, 1, 1})).sum(0) + off.t().matmul(weights.unsqueeze(1) * off);
}

at::Tensor Law::responsibilities(const at::Tensor& x, const at::Tensor& alpha,
                                 const at::Tensor& sigma) const {
  return parts(*this, x.flatten(1), alpha, sigma).log_terms.softmax(1);
}

at::Tensor Law::log_density(const at::Tensor& x, const at::Tensor& alpha,
                            const at::Tensor& sigma) const {
  return parts(*this, x.flatten(1), alpha, sigma).log_terms.logsumexp(1);
}

at::Tensor Law::score(const at::Tensor& x, const at::Tensor& alpha, const at::Tensor& sigma) const {
  const at::Tensor flat = x.flatten(1);
  const auto [offset, variance, log_terms] = parts(*this, flat, alpha, sigma);
  at::Tensor pull = -(offset / variance);  // of each component, along its axes
  if (bases.defined()) pull = sum_last(pull.unsqueeze(-2) * bases.unsqueeze(0));
  if (weights.size(0) == 1) return pull.squeeze(1).view_as(x);
  const at::Tensor shifted = (log_terms - std::get<0>(log_terms.max(1, true))).exp();
  const at::Tensor share = shifted / sum_last(shifted).unsqueeze(1);
  return sum_last((share.unsqueeze(-1) * pull).transpose(1, 2).contiguous()).view_as(x);
}

at::Tensor Law::v(const at::Tensor& x, const at::Tensor& alpha, const at::Tensor& sigma) const {
  const at::Tensor flat = x.flatten(1);
  const auto [offset, variance, log_terms] = parts(*this, flat, alpha, sigma);
  // of each component's mean, along its axes
  at::Tensor shift = alpha.view({-1, 1, 1}) * variances.unsqueeze(0) * (offset / variance);
  if (bases.defined()) shift = sum_last(shift.unsqueeze(-2) * bases.unsqueeze(0));
  at::Tensor x0 = means.unsqueeze(0) + shift;  // of each component
  if (weights.size(0) == 1) {
    x0 = x0.squeeze(1);
  } else {
    const at::Tensor shifted = (log_terms - std::get<0>(log_terms.max(1, true))).exp();
    const at::Tensor share = shifted / sum_last(shifted).unsqueeze(1);
    x0 = sum_last((share.unsqueeze(-1) * x0).transpose(1, 2).contiguous());
  }
  const at::Tensor a = alpha.view({-1, 1}), s = sigma.view({-1, 1});
  return (-(a * s) * score(flat, alpha, sigma) - s * x0).view_as(x);
}

}  // namespace scorelab
