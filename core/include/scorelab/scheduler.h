#pragma once
#include <scorelab/component.h>
#include <scorelab/times.h>

#include <cstdint>
#include <vector>

namespace scorelab {

/// A value and its derivative in t: arithmetic on these gives exact slopes.
struct Dual {
  double value = 0, slope = 0;
  Dual() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a constant is a Dual
  Dual(double value, double slope = 0) : value(value), slope(slope) {}
  friend Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
  friend Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.slope - b.slope}; }
  friend Dual operator-(Dual a) { return {-a.value, -a.slope}; }
  friend Dual operator*(Dual a, Dual b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope};
  }
  friend Dual operator/(Dual a, Dual b) {
    return {a.value / b.value, (a.slope * b.value - a.value * b.slope) / (b.value * b.value)};
  }
  friend Dual exp(Dual a);
  friend Dual expm1(Dual a);
  friend Dual log(Dual a);
  friend Dual sqrt(Dual a);
  friend Dual sin(Dual a);
  friend Dual cos(Dual a);
  friend Dual pow(Dual a, double exponent);
};

/// x_t = alpha x_0 + sigma eps.
struct Marginal {
  Dual alpha, sigma;
};

/// x_t = alpha x_s + sqrt(sigma2) eps for s <= t.
struct Kernel {
  PerRow alpha, sigma2;
};

/// The forward process and nothing else: alpha(t) and sigma(t), said once. t runs from t_min
/// (nearly clean) to t_max (noise); t = 0 is clean, (1, 0), by definition. Everything in double, on
/// the host. A discrete process has levels at t = i/N, i = 1 .. N. Its methods are called often, a
/// few times for each row of an evaluation, and must be cheap and always say the same.
class Scheduler : public Component {
 public:
  static constexpr const char* kind = "scheduler";
  ~Scheduler() override;

  /// alpha and sigma on [t_min, t_max]; the dual number carries the derivative.
  virtual Marginal at(Dual t) const = 0;
  virtual double t_min() const = 0;
  virtual double t_max() const;
  /// The standard deviation of the prior at t_max; usually sqrt(alpha^2 + sigma^2) there, or sigma
  /// where the papers start from that.
  virtual double prior_std() const = 0;
  /// What a network sees as time.
  virtual double conditioning(double t) const = 0;
  /// The number of levels N of a discrete process; 0: continuous.
  virtual std::int64_t levels() const;
  /// The inverse of lambda(t) = log(alpha/sigma), by bisection unless the process knows better.
  virtual double t_of(double lambda) const;

  // Lifted to one value a row. Outside [t_min, t_max], other than the clean end t = 0, they throw;
  // the slopes, f and g2 also there, and where they are not finite: alpha = 0.
  PerRow alpha(const Times& t) const;
  PerRow sigma(const Times& t) const;
  PerRow alpha_slope(const Times& t) const;
  PerRow sigma_slope(const Times& t) const;
  /// log(alpha/sigma): half the log signal-to-noise ratio; +inf at t = 0.
  PerRow lambda(const Times& t) const;
  /// dx = f x dt + sqrt(g2) dw: f = alpha'/alpha, g2 = 2 sigma sigma' - 2 f sigma^2.
  PerRow f(const Times& t) const;
  PerRow g2(const Times& t) const;
  /// The process from s to t, any 0 <= s <= t: alpha_t/alpha_s and sigma_t^2 - (alpha_t/alpha_s)^2
  /// sigma_s^2.
  Kernel kernel(const Times& s, const Times& t) const;
  /// The variance of x_s given x_t and x_0. At s = 0, where it is 0, that of the step before, from
  /// 2t to t, as the papers' code has it wherever a logarithm is taken (Ho et al. 2020).
  PerRow posterior_variance(const Times& s, const Times& t) const;
  /// The time one level below t (0 below the first); t - (t_max - t_min)/1000 where the process has
  /// no levels.
  double level_below(double t) const;

 private:
  Marginal checked(double t, bool slopes) const;
};

}  // namespace scorelab
