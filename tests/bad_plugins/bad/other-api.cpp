#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Its stamp says that it was built for another plugin API.
struct OtherApi final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x; }
};
}  // namespace
#undef SCORELAB_API_VERSION
#define SCORELAB_API_VERSION 99
SCORELAB_PLUGIN(OtherApi, step, "other-api", "1.0.0", "built for another plugin API")
