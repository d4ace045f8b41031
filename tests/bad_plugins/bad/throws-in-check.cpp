#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Refuses its own parameters.
struct ThrowsInCheck final : Step {
  void params(Params& p) override {
    p("low", low_, "must be below high");
    p("high", high_, "must be above low");
  }
  void check() const override {
    if (low_ >= high_) throw Error("`low` is not below `high`; raise `high`");
  }
  double low_ = 2, high_ = 1;
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x; }
};
}  // namespace
SCORELAB_PLUGIN(ThrowsInCheck, step, "throws-in-check", "1.0.0", "refuses its parameters")
