#include <scorelab/plugin.h>
#include <scorelab/step.h>

extern "C" int gone(void);

namespace {
using namespace scorelab;

/// Needs a library that is not there.
struct MissingLibrary final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x.add(gone()); }
};
}  // namespace
SCORELAB_PLUGIN(MissingLibrary, step, "missing-library", "1.0.0",
                "needs a library that is not there")
