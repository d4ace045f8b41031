#include <ATen/ATen.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// A network of its own learns the noise, and the model learns what that one says. What the model
/// is told has a graph on purpose: no gradient of the model's loss may reach the other network.
struct Shadow final : Objective {
  void params(Params& p) override {
    times.params(p);
    shadow_.params(p);
    p("weight", weight_, "of the model's loss").range(0, 1e6);
  }
  std::vector<OwnNetwork*> networks() override { return {&shadow_}; }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor off = run.model(b.x, b.t).eps() - shadow_.under(run.model)(b.x, b.t).eps();
    return weight_ * row_dot(off, off);
  }
  at::Tensor loss_of(const OwnNetwork& network, TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor off =
        network.under(run.model)(b.x, b.t).eps() - b.eps + 0 * run.model(b.x, b.t).eps();
    return row_dot(off, off);
  }
  OwnNetwork shadow_{"shadow", "mlp"};
  double weight_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Shadow, objective, "shadow", "1.0.0", "learns what a network of its own has learnt")
