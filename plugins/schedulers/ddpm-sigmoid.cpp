#include <scorelab/betas.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// A discrete process whose betas rise along a sigmoid over [-6, 6]: Song, Meng & Ermon 2021's
/// code, `sigmoid`.
class DdpmSigmoid final : public BetaProcess {
 public:
  void params(Params& p) override {
    BetaProcess::params(p);
    p("beta_start", start_, "beta far below the middle").range(1e-12, 0.999);
    p("beta_end", end_, "beta far above the middle").range(1e-12, 0.999);
  }
  double beta(std::int64_t i, std::int64_t T) const override {
    const double u = -6 + 12 * static_cast<double>(i - 1) / static_cast<double>(T - 1);
    return start_ + (end_ - start_) / (1 + std::exp(-u));
  }

 private:
  double start_ = 1e-4, end_ = 0.02;
};
}  // namespace
SCORELAB_PLUGIN(DdpmSigmoid, scheduler, "ddpm-sigmoid", "1.0.0",
                "a discrete process with betas along a sigmoid")
