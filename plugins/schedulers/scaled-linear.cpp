#include <scorelab/betas.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// The process of latent diffusion: Rombach et al. 2022; the roots of the betas are linear, as in ddpm-quadratic, from 0.00085 to 0.012.
class ScaledLinear final : public BetaProcess {
 public:
  void params(Params& p) override {
    BetaProcess::params(p);
    p("beta_start", start_, "beta of the first level").range(1e-12, 0.999);
    p("beta_end", end_, "beta of the last level").range(1e-12, 0.999);
  }
  double beta(std::int64_t i, std::int64_t T) const override {
    const double u = static_cast<double>(i - 1) / static_cast<double>(T - 1), a = std::sqrt(start_), b = std::sqrt(end_);
    return std::pow(a + (b - a) * u, 2);
  }

 private:
  double start_ = 0.00085, end_ = 0.012;
};
}  // namespace
SCORELAB_PLUGIN(ScaledLinear, scheduler, "scaled-linear", "1.0.0", "latent diffusion's process: roots of the betas are linear")
