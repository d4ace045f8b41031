#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <cstdlib>

namespace {
using namespace scorelab;

/// SIGABRT in its second step.
struct Aborts final : Step {
  at::Tensor step(Run&, at::Tensor x, Times t, Times) const override {
    if (t.one() < 0.9) std::abort();
    return x;
  }
};
}  // namespace
SCORELAB_PLUGIN(Aborts, step, "aborts", "1.0.0", "calls std::abort")
