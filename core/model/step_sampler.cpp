#include "step_sampler.h"

#include <ATen/ATen.h>

namespace scorelab {

StepSampler::StepSampler(std::shared_ptr<Step> step) { step_.bind("predictor", std::move(step)); }

void StepSampler::params(Params& p) {
  grid_.params(p);
  p("denoise", denoise_,
    "ends with Tweedie's mean, at one more evaluation, where the grid does not end at 0")
      .in("grid");
  step_->params(p);
}
void StepSampler::check() const { step_->check(); }
void StepSampler::prepare(const Setting& setting) { step_->prepare(setting); }

double StepSampler::start(const Scheduler& scheduler) const {
  return grid_.first(scheduler, step_->reaches_zero());
}

at::Tensor StepSampler::sample(Run& run, at::Tensor x) const {
  double now = start(run.scheduler);
  for (const auto& [i, t, s] : grid_.steps(run.scheduler, step_->reaches_zero())) {
    x = run.step(step_, x, t, s);
    run.observe(now = s, x);
  }
  return denoise_ && now > 0 ? run.model(x, now).x0() : x;
}

}  // namespace scorelab
