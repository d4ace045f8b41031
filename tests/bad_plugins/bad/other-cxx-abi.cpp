#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Its stamp says that it was built for another C++ ABI.
struct OtherCxxAbi final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x; }
};
}  // namespace
#undef __GXX_ABI_VERSION
#define __GXX_ABI_VERSION 1002
SCORELAB_PLUGIN(OtherCxxAbi, step, "other-cxx-abi", "1.0.0", "built for another C++ ABI")
