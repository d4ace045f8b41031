#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {
using namespace scorelab;

/// DDPM's discrete process: Ho et al. 2020; T levels, beta linear from beta_start to beta_end, not scaled with T. Level i stands at
/// t = i/T; between levels log alpha is linear, so that every t from 1/T to 1 is defined.
class DdpmLinear final : public Scheduler {
 public:
  void params(Params& p) override {
    p("T", T_, "number of levels").range(2, 1e6);
    p("beta_start", beta_start_, "beta of the first level").range(1e-12, 0.999);
    p("beta_end", beta_end_, "beta of the last level").range(1e-12, 0.999);
    p.gives("levels");
    p.gives("path");
    p.gives("noise");
  }
  void prepare(const Setting&) override {
    log_alpha_.assign(T_ + 1, 0);
    for (std::int64_t i = 1; i <= T_; ++i) {
      const double beta = beta_start_ + (beta_end_ - beta_start_) * static_cast<double>(i - 1) / static_cast<double>(T_ - 1);
      log_alpha_[i] = log_alpha_[i - 1] + 0.5 * std::log1p(-beta);
    }
  }
  Marginal at(Dual t) const override {
    const Dual level = t * static_cast<double>(T_);
    const double nearest = std::nearbyint(level.value);
    const bool on_level = std::abs(level.value - nearest) < 1e-9;
    const auto upper = std::clamp<std::int64_t>(static_cast<std::int64_t>(on_level ? nearest : std::ceil(level.value)), 1, T_);
    const double slope = log_alpha_[upper] - log_alpha_[upper - 1];
    const double value = on_level ? log_alpha_[upper] : log_alpha_[upper] + (level.value - static_cast<double>(upper)) * slope;
    const Dual log_alpha{value, slope * level.slope};
    return {exp(log_alpha), sqrt(-expm1(2 * log_alpha))};
  }
  std::int64_t levels() const override { return T_; }
  double t_min() const override { return 1 / static_cast<double>(T_); }
  double prior_std() const override { return 1; }
  double conditioning(double t) const override { return t * static_cast<double>(T_) - 1; }

 private:
  std::int64_t T_ = 1000;
  double beta_start_ = 1e-4, beta_end_ = 0.02;
  std::vector<double> log_alpha_;
};
}  // namespace
SCORELAB_PLUGIN(DdpmLinear, scheduler, "ddpm-linear", "1.0.0", "DDPM's discrete process with linear betas")
