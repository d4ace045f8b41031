#include <scorelab/plugin.h>
#include <scorelab/step.h>

namespace {
using namespace scorelab;

/// A need that depends on a parameter whose name is mistyped.
struct UnknownKey final : Step {
  void params(Params& p) override {
    p("solver", solver_, "the method").one_of({"euler", "heun"});
    p.needs("levels", "its steps are the process's own").when("solvr", {"heun"});
  }
  at::Tensor step(Run&, at::Tensor x, Times, Times) const override { return x; }

 private:
  std::string solver_ = "euler";
};
}  // namespace
SCORELAB_PLUGIN(UnknownKey, step, "unknown-key", "1.0.0", "a need of a mistyped parameter")
