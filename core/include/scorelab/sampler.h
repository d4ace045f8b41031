#pragma once
#include <scorelab/grid.h>
#include <scorelab/step.h>

namespace scorelab {

/// A sampler that owns its loop: adaptive, predictor-corrector, annealed.
class Sampler : public Component {
 public:
  static constexpr const char* kind = "sampler";
  ~Sampler() override;
  /// x: [B, ..], distributed as the prior at t_max; returns samples of the data.
  virtual at::Tensor sample(Run& run, at::Tensor x) const = 0;
};

}  // namespace scorelab
