#pragma once
#include <scorelab/scheduler.h>

#include <vector>

namespace scorelab {

/// A discrete variance-preserving process by its betas, as DDPM has one: T levels, alpha_i^2 the
/// product of (1 - beta). Level i stands at t = i/T; between levels log alpha is linear, so that
/// every t from 1/T to 1 is defined.
class BetaProcess : public Scheduler {
 public:
  ~BetaProcess() override;
  /// `T`, and what every such process gives; a process adds its own.
  void params(Params& p) override;
  void prepare(const Setting& setting) override;

  Marginal at(Dual t) const override;
  std::int64_t levels() const override;
  double t_min() const override;
  double prior_std() const override;
  double conditioning(double t) const override;  ///< the level, from 0

 protected:
  /// The beta of level i = 1 .. T, in (0, 1).
  virtual double beta(std::int64_t i, std::int64_t T) const = 0;

 private:
  std::int64_t T_ = 1000;
  std::vector<double> log_alpha_;
};

/// Betas whose roots are linear in the level, from beta_start to beta_end.
class RootLinearBetas : public BetaProcess {
 public:
  ~RootLinearBetas() override;
  void params(Params& p) override;

 protected:
  /// The defaults.
  RootLinearBetas(double beta_start, double beta_end) : start_(beta_start), end_(beta_end) {}
  double beta(std::int64_t i, std::int64_t T) const override;

 private:
  double start_, end_;
};

/// The betas of a process whose alpha^2 is a function of u = i/T, at most 0.999: Nichol & Dhariwal
/// 2021, section 3.2.
double beta_of(double alpha2_before, double alpha2);

}  // namespace scorelab
