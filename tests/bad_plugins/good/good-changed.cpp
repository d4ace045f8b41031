#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// The same name and version as good.cpp, other code.
struct Good final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x.mul(0.25); }
};
}  // namespace
SCORELAB_PLUGIN(Good, step, "good", "1.0.0", "halves x at each step")
