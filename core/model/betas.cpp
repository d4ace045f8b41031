#include <fmt/format.h>
#include <scorelab/betas.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>

namespace scorelab {

BetaProcess::~BetaProcess() = default;
RootLinearBetas::~RootLinearBetas() = default;

void RootLinearBetas::params(Params& p) {
  BetaProcess::params(p);
  p("beta_start", start_, "beta of the first level").range(1e-12, 0.999);
  p("beta_end", end_, "beta of the last level").range(1e-12, 0.999);
}

double RootLinearBetas::beta(std::int64_t i, std::int64_t T) const {
  const double u = static_cast<double>(i - 1) / static_cast<double>(T - 1), a = std::sqrt(start_),
               b = std::sqrt(end_);
  return std::pow(a + (b - a) * u, 2);
}

void BetaProcess::params(Params& p) {
  p("T", T_, "number of levels").range(2, 1e6);
  for (const char* name : {"levels", "path", "finite-snr", "finite-velocity", "noise"})
    p.gives(name);
}

void BetaProcess::prepare(const Setting&) {
  log_alpha_.assign(T_ + 1, 0);
  for (std::int64_t i = 1; i <= T_; ++i) {
    const double b = beta(i, T_);
    if (!(b > 0 && b < 1))
      throw Error(fmt::format("beta of level {} is {}; it must lie between 0 and 1", i, b));
    log_alpha_[i] = log_alpha_[i - 1] + 0.5 * std::log1p(-b);
  }
}

Marginal BetaProcess::at(Dual t) const {
  const Dual level = t * static_cast<double>(T_);
  const double nearest = std::nearbyint(level.value);
  const bool on_level = std::abs(level.value - nearest) < 1e-9;
  const auto upper = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(on_level ? nearest : std::ceil(level.value)), 1, T_);
  const double slope = log_alpha_[upper] - log_alpha_[upper - 1];
  const double value = on_level
                           ? log_alpha_[upper]
                           : log_alpha_[upper] + (level.value - static_cast<double>(upper)) * slope;
  const Dual log_alpha{value, slope * level.slope};
  return {exp(log_alpha), sqrt(-expm1(2 * log_alpha))};
}

std::int64_t BetaProcess::levels() const { return T_; }
double BetaProcess::t_min() const { return 1 / static_cast<double>(T_); }
double BetaProcess::prior_std() const { return 1; }
double BetaProcess::conditioning(double t) const { return t * static_cast<double>(T_) - 1; }

double beta_of(double before, double after) { return std::min(1 - after / before, 0.999); }

}  // namespace scorelab
