#include <ATen/ATen.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// InfoNCE (van den Oord et al. 2018, equation 4) between each clean sample and what the model says
/// of it: one number for the batch.
struct Contrast final : Objective {
  void params(Params& p) override {
    times.params(p);
    p.gives("batch-loss");
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor said = run.model(b.x, b.t).x0().flatten(1), clean = b.x0.flatten(1);
    const at::Tensor far = (said.unsqueeze(1) - clean.unsqueeze(0)).square().sum(2);
    return -(-far).log_softmax(1).diagonal().mean();
  }
};
}  // namespace
SCORELAB_PLUGIN(Contrast, objective, "contrast", "1.0.0", "tells samples of a batch apart")
