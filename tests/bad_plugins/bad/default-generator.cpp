#include <ATen/ATen.h>
#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Draws from LibTorch's default generator, not from the Noise that it is handed.
struct DefaultGenerator final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x + at::randn_like(x); }
};
}  // namespace
SCORELAB_PLUGIN(DefaultGenerator, step, "default-generator", "1.0.0",
                "draws from the default generator")
