#pragma once
#include <scorelab/guide.h>

#include <string>
#include <vector>

namespace scorelab {

/// What is known of the clean samples, y = A x_0 + noise, for guides: a shared group of parameters,
/// `observed_.params(p)`. The rows of A are orthonormal, so that A^T A is a projection; y is kept
/// back in sample space, as A^T y, in the guide's memory: a guide that has an Observation has no
/// memory of another type.
class Observation {
 public:
  void params(Params& p);
  void prepare(const Setting& setting);

  /// A^T A x, row by row.
  at::Tensor project(const at::Tensor& x) const;
  /// A^T y of each sample in the model's units, the same at every evaluation of a sampling call.
  const at::Tensor& of(GuideRun& run, const at::Tensor& like) const;
  /// Standard deviation of an element of y.
  double noise() const { return noise_; }

 private:
  at::Tensor mask() const;

  std::string observe_ = "first";
  double share_ = 0.5, noise_ = 0;
  std::int64_t factor_ = 2;
  std::vector<double> values_;
  std::vector<std::int64_t> shape_;
  at::Tensor mask_, given_;
};

}  // namespace scorelab
