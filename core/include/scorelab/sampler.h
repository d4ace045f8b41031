#pragma once
#include <scorelab/grid.h>
#include <scorelab/step.h>

namespace scorelab {

/// A sampler that owns its loop: adaptive, predictor-corrector, annealed.
class Sampler : public Component {
 public:
  static constexpr const char* kind = "sampler";
  ~Sampler() override;
  /// The time of the x that it is given: t_max, or where its grid begins. `sample.initial` draws for it, and paths are recorded from it.
  virtual double start(const Scheduler& scheduler) const;
  /// x: [B, ..], distributed as the process at start(); returns samples of the data.
  virtual at::Tensor sample(Run& run, at::Tensor x) const = 0;
};

}  // namespace scorelab
