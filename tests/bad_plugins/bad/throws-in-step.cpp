#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Throws in its second step.
struct ThrowsInStep final : Step {
  at::Tensor step(Run&, at::Tensor x, Times t, Times) const override {
    if (t.one() < 0.9) throw Error("the road is closed; take another");
    return x;
  }
};
}  // namespace
SCORELAB_PLUGIN(ThrowsInStep, step, "throws-in-step", "1.0.0", "throws on the way")
