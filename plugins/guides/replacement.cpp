#include <ATen/ATen.h>
#include <scorelab/observation.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Inpainting, colourisation and the like by putting what is known into what the model says.
/// `replacement`: x0 is what is observed, where it is observed; each sampler then carries that part
/// through its own transitions. `score-sde` (Song et al. 2021, appendix I.2 and I.3): besides, the
/// model sees the observation diffused to t, with fresh noise at every evaluation, in place of that
/// part of x; the part that the sampler carries walks to the observation all the same. Neither is
/// the exact posterior: the rest is drawn given the noised observation, not given the clean one.
class Replacement final : public Guide {
 public:
  void params(Params& p) override {
    observed_.params(p);
    p("method", method_,
      "what the model sees of the observed part: the sampler's own x, or the observation with "
      "fresh noise")
        .one_of({"replacement", "score-sde"});
    p.gives("exact-moments");
  }
  void prepare(const Setting& setting) override { observed_.prepare(setting); }
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    const at::Tensor& y = observed_.of(run, x);
    at::Tensor seen = x;
    if (method_ == "score-sde") {
      const Scheduler& q = run.model.scheduler();
      const at::Tensor noised = q.alpha(t) * y + q.sigma(t) * run.noise.normal(x);
      seen = x + observed_.project(noised - x);
    }
    const Prediction p = run.model(seen, t).at(x);
    const at::Tensor x0 = p.x0();
    return p.with(Quantity::x0, x0 + observed_.project(y - x0));
  }

 private:
  Observation observed_;
  std::string method_ = "replacement";
};
}  // namespace
SCORELAB_PLUGIN(Replacement, guide, "replacement", "1.0.0",
                "inpainting and colourisation: what is known replaces what the model says")
