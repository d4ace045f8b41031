#include <fmt/format.h>
#include <scorelab/error.h>
#include <scorelab/scheduler.h>

#include <cmath>
#include <limits>

namespace scorelab {

Dual exp(Dual a) {
  const double e = std::exp(a.value);
  return {e, e * a.slope};
}
Dual expm1(Dual a) { return {std::expm1(a.value), std::exp(a.value) * a.slope}; }
Dual log(Dual a) { return {std::log(a.value), a.slope / a.value}; }
Dual sqrt(Dual a) {
  const double root = std::sqrt(a.value);
  return {root, a.slope / (2 * root)};
}
Dual sin(Dual a) { return {std::sin(a.value), std::cos(a.value) * a.slope}; }
Dual cos(Dual a) { return {std::cos(a.value), -std::sin(a.value) * a.slope}; }
Dual pow(Dual a, double exponent) {
  return {std::pow(a.value, exponent), exponent * std::pow(a.value, exponent - 1) * a.slope};
}

Scheduler::~Scheduler() = default;
double Scheduler::t_max() const { return 1; }
std::int64_t Scheduler::levels() const { return 0; }

double Scheduler::t_of(double lambda) const {
  double low = t_min(), high = t_max();
  const auto lambda_at = [this](double t) {
    const Marginal m = at(t);
    return std::log(m.alpha.value / m.sigma.value);
  };
  if (!(lambda <= lambda_at(low) && lambda >= lambda_at(high)))
    throw Error(fmt::format("no time has log(alpha/sigma) = {}: this process spans {} to {}",
                            lambda, lambda_at(high), lambda_at(low)));
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle == low || middle == high) break;
    (lambda_at(middle) > lambda ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

Marginal Scheduler::checked(double t, bool slopes) const {
  if (t == 0 && !slopes && t_min() > 0) return {1.0, 0.0};
  if (!(t >= t_min() && t <= t_max()))
    throw Error(
        fmt::format("t = {} is outside the process: it runs from t_min = {} to t_max = {}{}", t,
                    t_min(), t_max(),
                    slopes ? "; slopes and scores are not defined at the clean end t = 0"
                           : ", and 0 is clean"));
  return at(Dual{t, 1});
}

namespace {

/// A slope, which is infinite where alpha ends at 0 like a root, or one over an alpha of 0.
double finite(double value, const char* what, double t, const Marginal& m) {
  if (std::isfinite(value)) return value;
  throw Error(
      fmt::format("{} has no finite value at t = {}, where alpha is {}: begin below (`from`, where "
                  "there is one), end the process before (flow: `alpha_min`), or ask for no slope: "
                  "predict x0 or v, and sample by ancestral, ddim or dpm-solver-pp",
                  what, t, m.alpha.value));
}

}  // namespace

PerRow Scheduler::alpha(const Times& t) const {
  return t.map([this](double x) { return checked(x, false).alpha.value; });
}
PerRow Scheduler::sigma(const Times& t) const {
  return t.map([this](double x) { return checked(x, false).sigma.value; });
}
PerRow Scheduler::alpha_slope(const Times& t) const {
  return t.map([this](double x) {
    const Marginal m = checked(x, true);
    return finite(m.alpha.slope, "alpha'", x, m);
  });
}
PerRow Scheduler::sigma_slope(const Times& t) const {
  return t.map([this](double x) {
    const Marginal m = checked(x, true);
    return finite(m.sigma.slope, "sigma'", x, m);
  });
}
PerRow Scheduler::lambda(const Times& t) const {
  return t.map([this](double x) {
    const Marginal m = checked(x, false);
    return m.sigma.value == 0 ? std::numeric_limits<double>::infinity()
                              : std::log(m.alpha.value / m.sigma.value);
  });
}
PerRow Scheduler::f(const Times& t) const {
  return t.map([this](double x) {
    const Marginal m = checked(x, true);
    return finite(m.alpha.slope / m.alpha.value, "the drift f = alpha'/alpha", x, m);
  });
}
PerRow Scheduler::g2(const Times& t) const {
  return t.map([this](double x) {
    const Marginal m = checked(x, true);
    return finite(2 * m.sigma.value * m.sigma.slope -
                      2 * (m.alpha.slope / m.alpha.value) * m.sigma.value * m.sigma.value,
                  "g^2", x, m);
  });
}

Kernel Scheduler::kernel(const Times& s, const Times& t) const {
  if (!((s <= t) - 1.0).any()) {
    const PerRow ratio = alpha(t) / alpha(s);
    // A difference of squares that rounding could push below zero where s = t.
    return {ratio, max(square(sigma(t)) - square(ratio * sigma(s)), 0)};
  }
  throw Error("a kernel runs forward: it needs s <= t");
}

double Scheduler::level_below(double t) const {
  const std::int64_t n = levels();
  if (n == 0) return std::max(t_min(), t - (t_max() - t_min()) / 1000);
  return std::max(0.0, std::ceil(t * static_cast<double>(n) - 1e-9) - 1) / static_cast<double>(n);
}

PerRow Scheduler::posterior_variance(const Times& s, const Times& t) const {
  const PerRow last = s <= 0, high = where(last, min(2 * t, t_max()), t), low = where(last, t, s);
  // from t_max to 0 at once: there is no step before, and the kernel's own stands in
  const PerRow only = high <= low;
  return where(only, kernel(s, t).sigma2,
               kernel(low, high).sigma2 * square(sigma(low) / sigma(high)));
}

}  // namespace scorelab
