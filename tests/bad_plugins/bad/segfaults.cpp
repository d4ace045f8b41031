#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// SIGSEGV in its second step.
struct Segfaults final : Step {
  int* volatile nowhere = nullptr;
  at::Tensor step(Run&, at::Tensor x, Times t, Times) const override {
    if (t.one() < 0.9) *nowhere = 1;
    return x;
  }
};
}  // namespace
SCORELAB_PLUGIN(Segfaults, step, "segfaults", "1.0.0", "writes to a null pointer")
