#include <ATen/ATen.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// EDM's loss: Karras et al. 2022, equation 2 with the weight of table 1, lambda |D(x; sigma) -
/// x_0|^2, lambda = (sigma^2 + s^2)/(sigma s)^2, where sigma is the process's sigma/alpha and s the
/// data's standard deviation; a mean over the elements. With `output.predict = "edm"` it is 1 at
/// every level for a network that answers 0, if s is right.
class Edm final : public Objective {
 public:
  Edm() { times = TimeLaw("log-normal"); }
  void params(Params& p) override {
    times.params(p);
    p("sigma_data", sigma_data_, "standard deviation of the data, in the model's units")
        .range(1e-6, 1e6);
    p.needs("noise", "it learns to remove noise");
    p.needs("finite-snr", "its sigma is infinite where alpha is 0");
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor error = run.model(b.x, b.t).x0() - b.x0;
    const PerRow sigma = run.scheduler.sigma(b.t) / run.scheduler.alpha(b.t),
                 s2 = sigma_data_ * sigma_data_;
    const PerRow weight = (square(sigma) + s2) / (square(sigma) * s2);
    return row_dot(error, error) *
           (weight * (static_cast<double>(b.x.size(0)) / static_cast<double>(b.x.numel())));
  }

 private:
  double sigma_data_ = 0.5;
};
}  // namespace
SCORELAB_PLUGIN(Edm, objective, "edm-loss", "1.0.0", "EDM's weighted denoising loss")
