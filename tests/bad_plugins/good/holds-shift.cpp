#include <scorelab/plugin.h>
#include <scorelab/sampler.h>

namespace {
using namespace scorelab;

/// The same version as in holds-good.cpp, another component in its slot by default.
struct Holder final : Sampler {
  void params(Params& p) override { p("inner", inner_, "the step that is made once"); }
  at::Tensor sample(Run& run, at::Tensor x) const override { return run.step(inner_, x, 1, 0.5); }
  Slot<Step> inner_{"shift"};
};
}  // namespace
SCORELAB_PLUGIN(Holder, sampler, "holder", "1.0.0", "one step of what it holds")
