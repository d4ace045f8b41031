#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// A null write when it is made.
struct CrashesInConstructor final : Step {
  CrashesInConstructor() { *nowhere = 1; }
  int* volatile nowhere = nullptr;
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x; }
};
}  // namespace
SCORELAB_PLUGIN(CrashesInConstructor, step, "crashes-in-constructor", "1.0.0",
                "ends the host when it is made")
