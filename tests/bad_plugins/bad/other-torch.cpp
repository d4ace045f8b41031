#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Its stamp says that it was built for another LibTorch.
struct OtherTorch final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x; }
};
}  // namespace
#undef TORCH_VERSION
#define TORCH_VERSION "2.10.1"
SCORELAB_PLUGIN(OtherTorch, step, "other-torch", "1.0.0", "built for another LibTorch")
