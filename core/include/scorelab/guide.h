#pragma once
#include <scorelab/call_memory.h>
#include <scorelab/component.h>
#include <scorelab/model.h>
#include <scorelab/noise.h>

namespace scorelab {

/// What a guide works with at one evaluation.
class GuideRun {
 public:
  struct Call;
  GuideRun(Model model, Noise noise, Call& call);

  /// the network with the guides that come before this one already applied to it; it evaluates
  /// the active rows only
  Model model;
  Noise noise;  ///< the guide's own in this sampling call; inactive rows draw zero

  /// [B, ..] draws of the data in the model's units, one for each sample and the same at every
  /// evaluation of a sampling call: what observations are made of. Their conditions are the
  /// samples', where sample.condition = "data".
  const at::Tensor& clean();
  /// What the guide keeps for one sampling call, of one type, default-constructed at first use.
  template <class T>
  T& memory() {
    return own_memory().of<T>();
  }

 private:
  CallMemory& own_memory();
  Call& call_;
};

/// Changes the model's prediction before a sampler reads it: clipping, thresholding, guidance. It
/// works with any sampler: the host puts the manifest's `guides` between the network and the
/// sampler, in the order written. Likelihoods are of the model without guides.
class Guide : public Component {
 public:
  static constexpr const char* kind = "guide";
  ~Guide() override;
  /// Called at every evaluation that a sampler makes; with gradients where a later guide or the
  /// sampler asks for them, so that x must not be changed in place, nor the model's output
  /// detached. Returns the guided prediction at (x, t): usually run.model(x, t) with one quantity
  /// changed, `p.with(quantity, value)`. The model may also be evaluated at other points, several
  /// times, or for gradients: every evaluation is counted. Rows must not depend on each other, so
  /// that a sample's bits do not depend on its neighbours.
  virtual Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const = 0;
};

}  // namespace scorelab
