#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Returns another shape.
struct WrongShape final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x.narrow(1, 0, 1); }
};
}  // namespace
SCORELAB_PLUGIN(WrongShape, step, "wrong-shape", "1.0.0", "drops a column")
