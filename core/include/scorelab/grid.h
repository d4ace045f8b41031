#pragma once
#include <scorelab/scheduler.h>

#include <string>
#include <vector>

namespace scorelab {

/// One interval of a time grid, from t down to s.
struct Interval {
  std::int64_t i;
  double t, s;
};

/// The time grid, a shared group of parameters: `grid_.params(p)` declares steps, nfe, spacing,
/// rho, refine, from and to.
///
/// S steps have S + 1 times from `from` down to `to`. A grid that ends at 0 goes to the clean end
/// of the range (t_min, the first level) in S - 1 steps and takes the last from there. No time
/// comes twice. On a discrete process with as many levels between the ends as steps, times are
/// rounded to levels; one whose level is taken moves to the next that is free, so that S steps stay
/// S steps.
class Grid {
 public:
  /// The specs declared, so that a sampler may say when they are active.
  struct Group {
    std::vector<Spec*> specs;
    Group& when(const std::string& key, const std::vector<std::string>& values);
  };
  Group params(Params& p);
  std::vector<Interval> steps(const Scheduler& scheduler, bool reaches_zero) const;
  /// The time where it ends: 0, t_min or the number given.
  double end(const Scheduler& scheduler, bool reaches_zero) const;
  /// The time where it begins, for Sampler::start: of the first step, which lies below `from` where
  /// spacing = "leading".
  double first(const Scheduler& scheduler, bool reaches_zero) const;

 private:
  double start(const Scheduler& scheduler) const;
  /// How many steps: `steps`, or, where that is 0, one for each level.
  std::int64_t count(double from, double to, std::int64_t levels) const;
  /// Throws Error where steps cannot stride over levels.
  void expect_strides(bool a_level_each, std::int64_t levels, std::int64_t steps, double to) const;
  std::int64_t steps_ = 0, nfe_ = 0, refine_ = 1;
  std::string spacing_ = "uniform";
  double rho_ = 7;
  NumberOrWord from_ = "t_max", to_ = "auto";
};

}  // namespace scorelab
