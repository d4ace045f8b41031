#pragma once
#include <scorelab/grid.h>
#include <scorelab/step.h>

namespace scorelab {

/// A sampler that owns its loop: adaptive, predictor-corrector, annealed. One whose steps are all
/// alike is a Step, and leaves the loop to core. The protocol of a sampling call, which makes a
/// chunk of samples:
///
///  1. The host asks start(), and draws x there from sample.initial.
///  2. It calls sample(run, x), without gradients. Calls follow each other on one object, so that
///     nothing may be kept from one to the next; what belongs to a call is in run.memory<T>().
///  3. In a step from t down to s the sampler asks run.model(x, t) as often as it likes (each row
///     is counted), draws, and makes the next x. It draws from run.noise, or from
///     run.increments(t, s) where the draw is the increment of a Brownian path. Rows that are done
///     are left out by run.rows(active).
///  4. After each step it calls run.observe(s, x): progress and paths are recorded there. To stop
///     the run it throws Stopped: let it pass.
///  5. It returns samples of the data, at the clean end of the process, in the shape, dtype and
///     device of x. Row k depends on row k alone, but for norms where sample.group joins samples.
class Sampler : public Component {
 public:
  static constexpr const char* kind = "sampler";
  ~Sampler() override;
  /// The time of the x that it is given: t_max, by default, or where its grid begins.
  virtual double start(const Scheduler& scheduler) const;
  /// x: [B, ..], distributed as the process at start().
  virtual at::Tensor sample(Run& run, at::Tensor x) const = 0;
};

}  // namespace scorelab
