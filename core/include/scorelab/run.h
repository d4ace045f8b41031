#pragma once
#include <scorelab/call_memory.h>
#include <scorelab/component.h>
#include <scorelab/model.h>
#include <scorelab/noise.h>

#include <functional>
#include <memory>

namespace scorelab {

class Step;

/// What a sampler works with during one sampling call: made by the host for it, and gone after it.
class Run {
 public:
  struct State;
  Run(Model model, const Scheduler& scheduler, Noise noise, std::shared_ptr<State> state);
  Run(Run&&) noexcept;
  ~Run();

  Model model;
  const Scheduler& scheduler;
  Noise noise;

  /// Runs a slot's step from t to s with the slot's own noise stream (named after its key) and
  /// memory; checks shape and dtype of what comes back. An empty slot returns x.
  at::Tensor step(const Slot<Step>& slot, at::Tensor x, const Times& t, const Times& s);
  /// This run's noise for one step from t down to s of a sampler that owns its loop: with run.noise
  /// = "path" its normals are increments of one Brownian path over sqrt(t - s), otherwise fresh
  /// ones. (Steps that `step` runs have it as run.noise.)
  Noise increments(const Times& t, const Times& s) const;
  /// The 2-norm of each sample, [B, 1, .., 1]; of its group where the manifest sets sample.group;
  /// the population's mean with sample.moments = "exact".
  at::Tensor norm(const at::Tensor& x) const;
  /// The same over the square root of the number of elements.
  at::Tensor rms(const at::Tensor& x) const;
  /// The same run for the rows that are not 0, the active ones: predictions and draws are zero in
  /// the others, which are not counted; tensors keep their full shape.
  Run rows(const PerRow& active) const;
  /// To be called once a step with where the samples are now. Throws Stopped when the run was asked
  /// to stop: let it pass.
  void observe(const Times& t, const at::Tensor& x);
  /// History that lives for one sampling call, one object a slot, default-constructed at first use.
  template <class T>
  T& memory() {
    return own_memory().of<T>();
  }

 private:
  CallMemory& own_memory();
  std::shared_ptr<State> state_;
};

}  // namespace scorelab
