// Denoising with one fault, which FAULT names: `scorelab certify` must fail the check that shows
// it.
#include <ATen/ATen.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;

class Faulty final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p.needs("noise", "it denoises");
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    at::Tensor x = b.x + 0.01 * run.noise.normal(b.x);
    if (fault == "default-generator") x = x + 0.01 * at::randn_like(x);
    const at::Tensor error = run.model(x, b.t).eps() - b.eps;
    at::Tensor loss = row_dot(error, error);
    if (fault == "batch-mean") return loss.mean();
    if (fault == "mean-for-each") return loss.mean().expand({b.x.size(0)});
    if (fault == "infinite") return loss / (loss - loss);
    if (fault == "detached") return loss.detach();
    if (fault == "state-between-calls") return (1 + 0.001 * calls_++) * loss;
    return loss;
  }

 private:
  mutable int calls_ = 0;
};
}  // namespace
SCORELAB_PLUGIN(Faulty, objective, "objective-" FAULT, "0.1.0", "has a fault")
