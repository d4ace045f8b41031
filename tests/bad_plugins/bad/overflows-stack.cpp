#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

__attribute__((noinline)) int deeper(int n) {  // NOLINT(misc-no-recursion)
  volatile char frame[4096];
  frame[0] = static_cast<char>(n);
  return n == 0 ? 0 : deeper(n + 1) + frame[0];
}

/// A stack overflow in its second step.
struct OverflowsStack final : Step {
  at::Tensor step(Run&, at::Tensor x, Times t, Times) const override {
    return t.one() < 0.9 ? x.add(deeper(1)) : x;
  }
};
}  // namespace
SCORELAB_PLUGIN(OverflowsStack, step, "overflows-stack", "1.0.0", "recurses without end")
