#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// The same version as in default-one.cpp, another default.
struct Shift final : Step {
  void params(Params& p) override { p("by", by_, "what is added"); }
  double by_ = 2;
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x.add(by_); }
};
}  // namespace
SCORELAB_PLUGIN(Shift, step, "shift", "1.0.0", "adds a number")
