#pragma once
#include <scorelab/component.h>
#include <scorelab/model.h>

namespace scorelab {

/// Changes what the model says before a sampler reads it: clipping, thresholding, guidance. Every sampler has it, since the host puts the
/// manifest's `guides` between the network and the sampler, in the order written. Likelihoods are of the model without guides.
class Guide : public Component {
 public:
  static constexpr const char* kind = "guide";
  ~Guide() override;
  /// What is said instead of `p`, which is the network's answer or that of the guide before, at the same point: `p.with(quantity, value)`.
  /// `network`: the model without guides, for further evaluations; each is counted. Elementwise over rows, or row by row, so that a
  /// sample's bits do not depend on its neighbours. Where gradients are taken, they pass through.
  virtual Prediction guide(Model& network, const Prediction& p) const = 0;
};

}  // namespace scorelab
