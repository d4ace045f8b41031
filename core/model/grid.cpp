#include <fmt/format.h>
#include <scorelab/error.h>
#include <scorelab/grid.h>

#include <algorithm>
#include <cmath>

namespace scorelab {

Grid::Group Grid::params(Params& p) {
  Group group;
  group.specs = {&p("steps", steps_,
                    "number of steps; 0: one a level, or 1000 where the process is continuous")
                      .range(0, 1e7)
                      .when("nfe", {"0"}),
                 &p("nfe", nfe_,
                    "a budget: takes the most steps that cost a sample at most so many network "
                    "evaluations; 0: `steps` sets them")
                      .range(0, 1e7),
                 &p("spacing", spacing_,
                    "where the times lie: uniform or quadratic in t; uniform in log(alpha/sigma); "
                    "karras: uniform in (sigma/alpha)^(1/rho) (Karras et al. 2022); leading, "
                    "trailing: integer strides over the levels (Lin et al. 2024)")
                      .one_of({"uniform", "quadratic", "log-snr", "karras", "leading", "trailing"}),
                 &p("rho", rho_, "how much denser the times of karras lie at the clean end")
                      .range(1, 100)
                      .when("spacing", {"karras"}),
                 &p("refine", refine_, "steps for each level")
                      .range(1, 1000)
                      .when("nfe", {"0"})
                      .when("steps", {"0"}),
                 &p("from", from_, "the time to start at").one_of({"t_max"}).range(0, 1e9),
                 &p("to", to_,
                    "the time to end at: 0 is clean; auto: 0 for steps that may end there "
                    "(ancestral), t_min for the others")
                      .one_of({"auto", "t_min"})
                      .range(0, 1e9)};
  for (Spec* spec : group.specs) spec->in("grid");
  return group;
}

Grid::Group& Grid::Group::when(const std::string& key, const std::vector<std::string>& values) {
  for (Spec* spec : specs) spec->when(key, values);
  return *this;
}

double Grid::start(const Scheduler& q) const {
  if (const auto* number = std::get_if<double>(&from_)) return *number;
  return q.t_max();
}

double Grid::end(const Scheduler& q, bool reaches_zero) const {
  if (const auto* number = std::get_if<double>(&to_)) return *number;
  return std::get<std::string>(to_) == "auto" && reaches_zero ? 0 : q.t_min();
}

namespace {

/// n + 1 times from `high` down to `low`, both on the process.
std::vector<double> spaced(const Scheduler& q, const std::string& spacing, double rho, double high,
                           double low, std::int64_t n) {
  const auto ratio = [&q](double t) { return q.sigma(t).one() / q.alpha(t).one(); };
  if ((spacing == "log-snr" || spacing == "karras") && q.alpha(high).one() == 0)
    throw Error(
        fmt::format("`spacing = \"{}\"` needs alpha above 0, and at {} it is 0; set `from` below",
                    spacing, high));
  std::vector<double> out(n + 1, high);
  // the ends are given: by way of lambda they could round to outside of the process
  for (std::int64_t k = 1; k < n; ++k) {
    const double u = static_cast<double>(k) / static_cast<double>(n);
    double t = high + (low - high) * u;
    if (spacing == "quadratic")
      t = std::pow(std::sqrt(high) + (std::sqrt(low) - std::sqrt(high)) * u, 2);
    if (spacing == "log-snr")
      t = q.t_of(std::log(1 / ratio(high)) +
                 (std::log(1 / ratio(low)) - std::log(1 / ratio(high))) * u);
    if (spacing == "karras") {
      const double a = std::pow(ratio(high), 1 / rho), b = std::pow(ratio(low), 1 / rho);
      t = q.t_of(-rho * std::log(a + (b - a) * u));
    }
    out[k] = std::clamp(t, low, high);
  }
  if (n > 0) out.back() = low;
  return out;
}

/// The process's levels from `first` down to `last` that lie nearest to these, each once; there is
/// room for all.
std::vector<double> on_levels(std::vector<double> near, double first, double last) {
  for (double& level : near) level = std::clamp(std::nearbyint(level), last, first);
  near.back() = last;
  near.front() = first;  // in this order: there may be one alone
  for (std::size_t k = 1; k + 1 < near.size(); ++k) near[k] = std::min(near[k], near[k - 1] - 1);
  for (std::size_t k = near.size() - 1; k > 1; --k)
    near[k - 1] = std::max(near[k - 1], near[k] + 1);
  return near;
}

}  // namespace

double Grid::first(const Scheduler& q, bool reaches_zero) const {
  return steps(q, reaches_zero).front().t;
}

std::int64_t Grid::count(double from, double to, std::int64_t levels) const {
  if (steps_ != 0) return steps_;
  if (levels == 0) return 1000 * refine_;
  const auto span = std::llround((from - to) * static_cast<double>(levels));
  return std::max<std::int64_t>(1, span) * refine_;
}

void Grid::expect_strides(bool a_level_each, std::int64_t levels, std::int64_t n, double to) const {
  if (!a_level_each)
    throw Error(
        fmt::format("`spacing = \"{}\"` strides over levels: it needs a discrete process with a "
                    "level for each step below `from`; this one has {} for {} steps",
                    spacing_, levels, n));
  if (to != 0)
    throw Error(fmt::format(
        "`spacing = \"{}\"` strides over levels down to 0, but this grid ends at {}; set `to = 0`",
        spacing_, to));
}

std::vector<Interval> Grid::steps(const Scheduler& q, bool reaches_zero) const {
  const double from = start(q), to = end(q, reaches_zero), low = std::max(to, q.t_min());
  if (nfe_ > 0)
    throw Error(
        "a budget of network evaluations is turned into steps by dry runs, before the sampler is "
        "used");
  if (q.t_min() < q.t_max() &&
      !(from > to && from >= q.t_min() && from <= q.t_max() && (to == 0 || to >= q.t_min())))
    throw Error(
        fmt::format("no steps go down from `from` = {} to `to` = {}: this process runs from t_max "
                    "= {} to t_min = {}, and 0 is clean",
                    from, to, q.t_max(), q.t_min()));
  const std::int64_t levels = q.levels();
  const std::int64_t n = count(from, to, levels);
  const auto N = static_cast<double>(levels), highest = std::nearbyint(from * N),
             lowest = std::max(1.0, std::nearbyint(low * N));
  const bool to_clean = to < low;
  const bool a_level_each =
      levels > 0 && static_cast<double>(to_clean ? n - 1 : n) <= highest - lowest;
  const bool strided = spacing_ == "leading" || spacing_ == "trailing";
  if (strided)
    expect_strides(a_level_each, static_cast<std::int64_t>(levels == 0 ? 0 : highest), n, to);
  std::vector<double> times;
  if (q.t_min() == q.t_max()) {
    times.assign(n + 1, q.t_max());  // one level: every step is made there
  } else if (to == 0 && a_level_each && (spacing_ == "uniform" || strided)) {
    const double stride = highest / static_cast<double>(n), whole = std::floor(stride);
    for (std::int64_t k = 0; k < n; ++k)
      times.push_back(spacing_ == "leading" ? 1 + whole * static_cast<double>(n - 1 - k)
                                            : highest - stride * static_cast<double>(k));
    times.push_back(0);
    times = on_levels(times, std::nearbyint(times[0]), 0);
    for (double& t : times) t /= N;
  } else {
    times = spaced(q, spacing_, rho_, from, low, to_clean ? n - 1 : n);
    if (a_level_each) {
      for (double& t : times) t *= N;
      times = on_levels(times, highest, lowest);
      for (double& t : times) t /= N;
    }
    if (to_clean) times.push_back(0);
  }
  for (std::size_t k = 1; k < times.size(); ++k)
    if (!(times[k] < times[k - 1]) && q.t_min() < q.t_max())
      throw Error(
          fmt::format("two of the {} steps' times are equal, {}: `spacing = \"{}\"` lays them too "
                      "close here; take fewer steps or another spacing",
                      n, times[k], spacing_));
  std::vector<Interval> out;
  for (std::int64_t i = 0; i < n; ++i) out.push_back({i, times[i], times[i + 1]});
  return out;
}

}  // namespace scorelab
