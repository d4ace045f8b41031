#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// Its second step divides by zero.
struct NanStep final : Step {
  at::Tensor step(Run&, at::Tensor x, Times t, Times) const override {
    return t.one() < 0.9 ? x.sub(x).div(0) : x;
  }
};
}  // namespace
SCORELAB_PLUGIN(NanStep, step, "nan-step", "1.0.0", "makes a NaN in its second step")
