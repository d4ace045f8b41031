#include <scorelab/betas.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// The process of latent diffusion: Rombach et al. 2022; the roots of the betas are linear, as in
/// ddpm-quadratic, from 0.00085 to 0.012.
class ScaledLinear final : public RootLinearBetas {
 public:
  ScaledLinear() : RootLinearBetas(0.00085, 0.012) {}
};
}  // namespace
SCORELAB_PLUGIN(ScaledLinear, scheduler, "scaled-linear", "1.0.0",
                "latent diffusion's process: roots of the betas are linear")
