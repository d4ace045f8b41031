#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Fails when the host makes it.
struct ThrowsInConstructor final : Step {
  ThrowsInConstructor() { throw Error("the moon is not full; wait for it"); }
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x; }
};
}  // namespace
SCORELAB_PLUGIN(ThrowsInConstructor, step, "throws-in-constructor", "1.0.0",
                "throws when it is made")
