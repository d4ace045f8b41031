#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

namespace {
using namespace scorelab;

/// Predictor-corrector sampling: Song et al. 2021, algorithm 1. Either part may be "none".
class PredictorCorrector final : public Sampler {
 public:
  void params(Params& p) override {
    grid_.params(p);
    p("predictor", predictor_, "the step from t to s");
    p("corrector", corrector_, "the step at constant t");
    p("order", order_, "algorithm 1 corrects what it predicted; the authors' code corrects first")
        .one_of({"predict-first", "correct-first"});
    p("denoise", denoise_,
      "ends with Tweedie's mean, at one more evaluation, where the grid does not end at 0");
    p.needs("path", "it walks from noise to data");
  }
  void check() const override {
    if (!predictor_ && !corrector_)
      throw Error("predictor and corrector are both \"none\": nothing would move");
  }
  double start(const Scheduler& q) const override { return grid_.first(q, reaches_zero()); }
  at::Tensor sample(Run& run, at::Tensor x) const override {
    double now = start(run.scheduler);
    for (const auto& [i, t, s] : grid_.steps(run.scheduler, reaches_zero())) {
      if (order_ == "correct-first") x = run.step(corrector_, x, t, t);
      x = run.step(predictor_, x, t, s);
      if (order_ == "predict-first" && s > 0) x = run.step(corrector_, x, s, s);
      run.observe(now = s, x);
    }
    return denoise_ && now > 0 ? run.model(x, now).x0() : x;
  }

 private:
  bool reaches_zero() const { return predictor_ && predictor_->reaches_zero(); }
  Grid grid_;
  Slot<Step> predictor_{"euler-maruyama"}, corrector_{"langevin"};
  std::string order_ = "predict-first";
  bool denoise_ = true;
};
}  // namespace
SCORELAB_PLUGIN(PredictorCorrector, sampler, "predictor-corrector", "1.0.0",
                "a predictor's step, then a corrector's")
