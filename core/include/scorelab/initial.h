#pragma once
#include <scorelab/dataset.h>
#include <scorelab/scheduler.h>

#include <optional>

namespace scorelab {

/// Mean and variance of every element, in the shape of one sample, float64 on the CPU; elements are
/// independent.
struct Moments {
  at::Tensor mean, variance;
};

/// What surrounds the start of a sampling call.
struct Start {
  const Scheduler& scheduler;
  /// where the sampler starts, Sampler::start: t_max, or where its grid begins
  double t;
  std::int64_t first;                             ///< the samples are first, first + 1, ..
  const at::Tensor& like;                         ///< [B, ..] of the samples' dtype and device
  std::function<at::Tensor(Noise& noise)> clean;  ///< B draws of the data, in the model's units
  const Space& space;                             ///< between data units and the model's
};

/// What a sampler starts from: the distribution of x at start.t.
class Initial : public Component {
 public:
  static constexpr const char* kind = "initial";
  ~Initial() override;
  /// Called before each sampling call. In the shape, dtype and device of start.like, in the model's
  /// units. Row k depends on its sample's number alone, not on its neighbours in the call.
  virtual at::Tensor draw(const Start& start, Noise& noise) const = 0;
  /// Where the distribution is a diagonal Gaussian: for `sample.moments = "exact"`.
  virtual std::optional<Moments> moments(const Start& start) const;
};

}  // namespace scorelab
