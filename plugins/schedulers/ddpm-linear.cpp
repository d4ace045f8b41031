#include <scorelab/betas.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// DDPM's process: Ho et al. 2020; beta linear from beta_start to beta_end, not scaled with T.
class DdpmLinear final : public BetaProcess {
 public:
  void params(Params& p) override {
    BetaProcess::params(p);
    p("beta_start", start_, "beta of the first level").range(1e-12, 0.999);
    p("beta_end", end_, "beta of the last level").range(1e-12, 0.999);
  }
  double beta(std::int64_t i, std::int64_t T) const override {
    return start_ + (end_ - start_) * static_cast<double>(i - 1) / static_cast<double>(T - 1);
  }

 private:
  double start_ = 1e-4, end_ = 0.02;
};
}  // namespace
SCORELAB_PLUGIN(DdpmLinear, scheduler, "ddpm-linear", "1.0.0",
                "DDPM's discrete process with linear betas")
