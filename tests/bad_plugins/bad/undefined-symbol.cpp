#include <scorelab/plugin.h>
#include <scorelab/step.h>

extern "C" int nobody_defines_this(void);

namespace {
using namespace scorelab;

/// Calls a function that nobody defines.
struct UndefinedSymbol final : Step {
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override {
    return x.add(nobody_defines_this());
  }
};
}  // namespace
SCORELAB_PLUGIN(UndefinedSymbol, step, "undefined-symbol", "1.0.0",
                "calls a function that nobody defines")
