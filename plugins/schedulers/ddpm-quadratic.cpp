#include <scorelab/betas.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// A discrete process whose betas are quadratic: their roots are linear (Ho et al. 2020's code, `quad`).
class DdpmQuadratic final : public BetaProcess {
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
  double start_ = 1e-4, end_ = 0.02;
};
}  // namespace
SCORELAB_PLUGIN(DdpmQuadratic, scheduler, "ddpm-quadratic", "1.0.0", "a discrete process with quadratic betas")
