#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Throws something that is no std::exception.
struct ThrowsANumber final : Step {
  at::Tensor step(Run&, at::Tensor x, Times t, Times) const override {
    if (t.one() < 0.9) throw 42;
    return x;
  }
};
}  // namespace
SCORELAB_PLUGIN(ThrowsANumber, step, "throws-a-number", "1.0.0", "throws what is no exception")
