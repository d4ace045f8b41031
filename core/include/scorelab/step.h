#pragma once
#include <scorelab/run.h>

namespace scorelab {

/// One transition of a sampler, from t down to s. A manifest may name it as its sampler, and core
/// makes the loop:
///
///  1. The grid, a group of parameters that core adds (steps, spacing, ..), gives times from `from`
///     down to `to`: 0 where reaches_zero(), otherwise t_min.
///  2. For each interval core calls step(run, x, t, s), without gradients, and observes what it
///     returns. run.noise is the step's own.
///  3. What the step remembers of earlier ones, such as a multistep method's history, is in
///     run.memory<T>(): it begins anew with each sampling call.
///
/// A sampler with a slot calls it the same way, by Run::step. A corrector is called with s = t, and
/// leaves x distributed as it was.
class Step : public Component {
 public:
  static constexpr const char* kind = "step";
  ~Step() override;
  /// x: [B, ..], not to be changed in place; returns a new tensor of the same shape, dtype and
  /// device. 0 <= s <= t; s = 0 is the clean end. Row k of the result depends on row k alone, but
  /// for norms where sample.group joins samples.
  virtual at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const = 0;
  /// Whether the last step may go to s = 0, as by default; if not, the grid ends at t_min.
  virtual bool reaches_zero() const;
};

}  // namespace scorelab
