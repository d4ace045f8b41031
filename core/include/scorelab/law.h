#pragma once
#include <ATen/core/Tensor.h>

namespace scorelab {

/// A Gaussian mixture: the law of a synthetic data set, known exactly. K components in D
/// dimensions, float64 on the CPU.
struct Law {
  at::Tensor weights;    ///< [K], positive, sum 1
  at::Tensor means;      ///< [K, D]
  at::Tensor variances;  ///< [K, D] along the axes of `bases`, >= 0
  at::Tensor bases;      ///< [K, D, D], columns are the axes; undefined: the coordinate axes

  /// The law of scale x + shift.
  Law mapped(double scale, double shift) const;
  /// The same in x's dtype on x's device.
  Law like(const at::Tensor& x) const;
  at::Tensor mean() const;        ///< [D]
  at::Tensor covariance() const;  ///< [D, D]
  /// How likely each component is to have made x_t = alpha x_0 + sigma eps: [B, ..] -> [B, K];
  /// alpha, sigma: [B].
  at::Tensor responsibilities(const at::Tensor& x, const at::Tensor& alpha,
                              const at::Tensor& sigma) const;
  /// log p of x_t = alpha x_0 + sigma eps at x: [B, ..] -> [B]; alpha, sigma: [B]. Natural
  /// logarithm.
  at::Tensor log_density(const at::Tensor& x, const at::Tensor& alpha,
                         const at::Tensor& sigma) const;
  /// grad log p_t(x) in x's shape. Elementwise sums only, so that its bits do not depend on the
  /// batch.
  at::Tensor score(const at::Tensor& x, const at::Tensor& alpha, const at::Tensor& sigma) const;
  /// alpha eps - sigma x_0, expected given x_t = x; with alpha = 0 too, where a score says nothing
  /// of x_0.
  at::Tensor v(const at::Tensor& x, const at::Tensor& alpha, const at::Tensor& sigma) const;
};

}  // namespace scorelab
