#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Returns another dtype.
struct WrongDtype final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x.to(at::kHalf); }
};
}  // namespace
SCORELAB_PLUGIN(WrongDtype, step, "wrong-dtype", "1.0.0", "returns float16")
