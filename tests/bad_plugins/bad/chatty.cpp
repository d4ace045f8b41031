#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <iostream>

namespace {
using namespace scorelab;

/// Prints to the host's channel, without a line end.
struct Chatty final : Step {
  Chatty() { std::cout << "made" << std::flush; }
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override {
    std::cout << "half a line" << std::flush;
    return x;
  }
};
}  // namespace
SCORELAB_PLUGIN(Chatty, step, "chatty", "1.0.0", "prints, which no plugin should")
