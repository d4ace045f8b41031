#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// A null write in check().
struct CrashesInCheck final : Step {
  void check() const override { *nowhere = 1; }
  int* volatile nowhere = nullptr;
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x; }
};
}  // namespace
SCORELAB_PLUGIN(CrashesInCheck, step, "crashes-in-check", "1.0.0",
                "ends the host while it is checked")
