#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <cstdlib>

namespace {
using namespace scorelab;

/// Ends the host in its second step, without a signal.
struct Exits final : Step {
  at::Tensor step(Run&, at::Tensor x, Times t, Times) const override {
    if (t.one() < 0.9) std::exit(3);
    return x;
  }
};
}  // namespace
SCORELAB_PLUGIN(Exits, step, "exits", "1.0.0", "calls std::exit")
