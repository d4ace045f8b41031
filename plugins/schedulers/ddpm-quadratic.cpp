#include <scorelab/betas.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// A discrete process whose betas are quadratic: their roots are linear (Ho et al. 2020's code,
/// `quad`).
class DdpmQuadratic final : public RootLinearBetas {
 public:
  DdpmQuadratic() : RootLinearBetas(1e-4, 0.02) {}
};
}  // namespace
SCORELAB_PLUGIN(DdpmQuadratic, scheduler, "ddpm-quadratic", "1.0.0",
                "a discrete process with quadratic betas")
