#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <cstdlib>

namespace {
using namespace scorelab;

/// Ends the host in its second step, without a signal.
struct ExitsWell final : Step {
  at::Tensor step(Run&, at::Tensor x, Times t, Times) const override {
    if (t.one() < 0.9) std::_Exit(0);
    return x;
  }
};
}  // namespace
SCORELAB_PLUGIN(ExitsWell, step, "exits-well", "1.0.0", "ends the process as if all were well")
