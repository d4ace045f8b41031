#include <algorithm>
#include <cmath>

#include "report/figure_keys.h"
#include "report/figures.h"

namespace scorelab::report {

std::vector<Figure> default_figures(const Data& data, bool has_samples) {
  std::vector<Figure> out;
  const auto& c = data.comparison;
  const std::string y = !c.compare.primary.empty() ? c.compare.primary
                        : data.metrics.empty()     ? ""
                                                   : data.metrics.front().name;
  const manifest::Axis* numeric = nullptr;
  std::vector<std::string> others;
  for (const auto& a : c.axes) {
    if (a.best) continue;
    const bool numbers =
        a.points.size() > 1 && std::all_of(a.points.begin(), a.points.end(), [](const auto& p) {
          return !std::isnan(number_of_label(p.label));
        });
    if (numbers && !numeric)
      numeric = &a;
    else if (others.size() < 2 && a.only.empty() && a.except.empty())
      others.push_back(a.name);
  }
  if (!y.empty() && numeric) {
    const bool positive = std::all_of(numeric->points.begin(), numeric->points.end(),
                                      [](const auto& p) { return number_of_label(p.label) > 0; });
    const double first = number_of_label(numeric->points.front().label),
                 last = number_of_label(numeric->points.back().label);
    out.push_back(
        {y,
         {{"kind", "line"},
          {"x", numeric->name},
          {"y", y},
          {"panels", others},
          {"xscale", positive && (last > 8 * first || first > 8 * last) ? "log" : "linear"}},
         {}});
  } else if (!y.empty() && data.cells.size() > 1) {
    out.push_back({y, {{"kind", "bars"}, {"y", y}}, {}});
  }
  if (has_samples) out.push_back({"samples", {{"kind", "samples"}, {"with", {"data"}}}, {}});
  if (data.trained)
    out.push_back({"training", {{"kind", "curve"}, {"y", "train.loss"}, {"yscale", "log"}}, {}});
  return out;
}

}  // namespace scorelab::report
