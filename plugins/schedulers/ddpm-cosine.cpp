#include <scorelab/betas.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// Improved DDPM's process: Nichol & Dhariwal 2021, equation 17; alpha^2(u) = cos^2((u + s)/(1 + s)
/// pi/2) over its value at 0, betas at most 0.999.
class DdpmCosine final : public BetaProcess {
 public:
  void params(Params& p) override {
    BetaProcess::params(p);
    p("s", s_, "offset that keeps the first beta from being too small").range(1e-6, 0.5);
  }
  double beta(std::int64_t i, std::int64_t T) const override {
    const auto n = static_cast<double>(T);
    return beta_of(alpha2(static_cast<double>(i - 1) / n), alpha2(static_cast<double>(i) / n));
  }

 private:
  double alpha2(double u) const { return std::pow(std::cos((u + s_) / (1 + s_) * M_PI / 2), 2); }

  double s_ = 0.008;
};
}  // namespace
SCORELAB_PLUGIN(DdpmCosine, scheduler, "ddpm-cosine", "1.0.0", "Improved DDPM's discrete process")
