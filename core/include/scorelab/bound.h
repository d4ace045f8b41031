#pragma once
#include <scorelab/model.h>
#include <scorelab/network.h>

#include <string>

namespace scorelab {

/// The variational bound on -log p(x_0) of the reverse chain whose steps are Gaussian:
/// Sohl-Dickstein et al. 2015; Ho et al. 2020, equation 5. In nats, summed over the dimensions, [B]
/// each; in the model's units.
class Bound {
 public:
  /// `variance` as a parameter, for metrics of the bound, and what the bound needs:
  /// `bound_.params(p)`.
  void params(Params& p);
  /// variance of a reverse step: "auto" is "learned" where the network predicts one, otherwise
  /// "large"; "large" is the forward kernel's, "small" the posterior's, "learned" the network's;
  /// "analytic" the exact Var[x_s | x_t], for data whose law is independent Gaussians.
  explicit Bound(std::string variance = "auto") : variance_(std::move(variance)) {}
  /// For grey levels that are not dequantised, in an affine space, the last term is that of a
  /// discretised Gaussian (Ho et al. 2020, equation 13); otherwise it is its density.
  void prepare(const Setting& setting);

  /// KL(q(x_s | x_t, x_0) || p(x_s | x_t)); where s = 0, -log p(x_0 | x_t). `p` is the model's
  /// answer at x_t.
  at::Tensor term(const Prediction& p, const at::Tensor& x0, const Times& s) const;
  /// KL(q(x_T | x_0) || prior), which does not depend on the network.
  static at::Tensor prior(const Scheduler& scheduler, const at::Tensor& x0);

 private:
  at::Tensor decoder(const at::Tensor& x0, const at::Tensor& mean,
                     const at::Tensor& log_variance) const;

  std::string variance_;
  // variances of the data's elements, in their shape; of "analytic"
  at::Tensor of_data_;
  double bin_ = 0, low_ = 0, high_ = 0;  // a grey level's width, black and white
};

}  // namespace scorelab
