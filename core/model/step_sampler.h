#pragma once
#include <scorelab/sampler.h>

namespace scorelab {

/// A bare step as a sampler: core's wrapper, with the shared time grid. The step draws from the
/// stream `predictor`, so that its draws are those of the same step in a predictor-corrector.
class StepSampler final : public Sampler {
 public:
  explicit StepSampler(std::shared_ptr<Step> step);
  void params(Params& p) override;
  void check() const override;
  void prepare(const Setting& setting) override;
  double start(const Scheduler& scheduler) const override;
  at::Tensor sample(Run& run, at::Tensor x) const override;

 private:
  Slot<Step> step_{"none"};
  Grid grid_;
  bool denoise_ = false;
};

}  // namespace scorelab
