#include <ATen/ATen.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// The model learns the noise, and to agree with the moving average of itself.
struct MeanTeacher final : Objective {
  void params(Params& p) override {
    times.params(p);
    p("mu", mu_, "rate of the average").range(0, 1);
  }
  std::optional<double> average_rate(std::int64_t, std::int64_t) const override { return mu_; }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor said = run.model(b.x, b.t).eps(), taught = (*run.average)(b.x, b.t).eps();
    if (taught.requires_grad()) throw Error("the average is not frozen: its answer has a graph");
    return row_dot(said - b.eps, said - b.eps) + row_dot(said - taught, said - taught);
  }
  double mu_ = 0.5;
};
}  // namespace
SCORELAB_PLUGIN(MeanTeacher, objective, "mean-teacher", "1.0.0", "agrees with its own average")
