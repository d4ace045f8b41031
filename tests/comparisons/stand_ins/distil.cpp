#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Regresses a model on another one, which must be frozen.
struct Distil final : Objective {
  void params(Params& p) override {
    times.params(p);
    p("teacher", teacher_, "the model that is learnt from").required();
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor wanted = teacher_.under(run.model)(b.x, b.t).eps();
    if (wanted.requires_grad()) throw Error("the teacher is not frozen: its answer has a graph");
    const bool told = !teacher_.under(run.model)(b.x, b.t).eps().equal(
        teacher_.under(run.model.unconditional())(b.x, b.t).eps());
    if (told != b.condition.contains("label"))
      throw Error(told ? "the teacher was told labels that the data lack"
                       : "the teacher was told no labels");
    const at::Tensor off = run.model(b.x, b.t).eps() - wanted;
    return row_dot(off, off);
  }
  ModelRef teacher_;
};
}  // namespace
SCORELAB_PLUGIN(Distil, objective, "distil", "1.0.0", "regression on another model")
