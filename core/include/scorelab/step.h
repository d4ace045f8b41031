#pragma once
#include <scorelab/run.h>

namespace scorelab {

/// One transition of a sampler, from t down to s; a corrector has s = t. It declares no grid: core wraps a step that a manifest
/// names as its sampler with the shared time grid. Const: what it remembers is in run.memory.
class Step : public Component {
 public:
  static constexpr const char* kind = "step";
  ~Step() override;
  /// x: [B, ..]; returns a new tensor of the same shape, dtype and device. 0 <= s <= t; s = 0 is the noiseless end.
  virtual at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const = 0;
  /// Whether the last step may go to s = 0; if not, the grid ends at t_min.
  virtual bool reaches_zero() const;
};

}  // namespace scorelab
