#include "report/figure_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compare/formula.h"

namespace scorelab::report {
namespace {

using schema::Json;

const std::vector<std::string> kinds{"line", "bars", "curve", "array", "samples", "density", "score", "trajectories", "grid"};
const std::vector<std::string> keys{"kind",   "says", "x",     "y",     "color",   "panels", "scale", "xscale",
                                    "yscale", "at",   "range", "count", "columns", "with",   "over",  "t"};

}  // namespace

std::string word(const Figure& f, const char* key, const std::string& otherwise) {
  return f.options.contains(key) && f.options[key].is_string() ? f.options[key].get<std::string>() : otherwise;
}

std::vector<std::string> words(const Figure& f, const char* key) {
  std::vector<std::string> out;
  if (!f.options.contains(key)) return out;
  if (f.options[key].is_string()) return {f.options[key].get<std::string>()};
  for (const auto& item : f.options[key])
    if (item.is_string()) out.push_back(item);
  return out;
}

void check_figures(const manifest::Comparison& c, const std::vector<std::string>& metrics, manifest::Findings& findings) {
  const compare::Names names{&c, metrics};
  std::vector<std::string> axes;
  if (!c.variants.empty()) axes.emplace_back("variant");
  for (const auto& a : c.axes) axes.push_back(a.name);
  const auto is_axis = [&](const std::string& name) { return std::find(axes.begin(), axes.end(), name) != axes.end(); };
  for (const auto& f : c.figures) {
    const auto problem = [&](const std::string& message, const std::string& hint) {
      findings.problem({f.at, fmt::format("figure `{}`: {}", f.name, message), hint, {}});
    };
    const std::string kind = word(f, "kind");
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
      const std::string near = manifest::nearest(kind, kinds);
      problem(kind.empty() ? "it needs a `kind`" : fmt::format("there is no kind `{}`", kind),
              near.empty() ? fmt::format("kinds: {}", fmt::join(kinds, ", ")) : fmt::format("did you mean `{}`?", near));
      continue;
    }
    for (const auto& [key, value] : f.options.items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        const std::string near = manifest::nearest(key, keys);
        problem(fmt::format("it has no key `{}`", key),
                near.empty() ? fmt::format("keys: {}", fmt::join(keys, ", ")) : fmt::format("did you mean `{}`?", near));
      }
    for (const auto& axis : words(f, "panels"))
      if (!is_axis(axis)) problem(fmt::format("`panels` names no axis `{}`", axis), fmt::format("axes: {}", fmt::join(axes, ", ")));
    if (const std::string color = word(f, "color"); !color.empty() && !is_axis(color))
      problem(fmt::format("`color` names no axis `{}`", color), fmt::format("axes: {}", fmt::join(axes, ", ")));
    const bool needs_y = kind == "line" || kind == "bars" || kind == "array";
    if (const std::string y = word(f, "y"); needs_y && !names.knows(y))
      problem(y.empty() ? "it needs `y`" : fmt::format("`y`: nothing is called `{}`", y),
              fmt::format("quantities: {}", fmt::join(names.all(), ", ")));
    if (const std::string x = word(f, "x"); kind == "line" && !is_axis(x) && !names.knows(x))
      problem(x.empty() ? "it needs `x`" : fmt::format("`x`: nothing is called `{}`", x),
              fmt::format("axes and quantities: {}, {}", fmt::join(axes, ", "), fmt::join(names.all(), ", ")));
    for (const auto& extra : words(f, "with"))
      if (!(extra == "data" && (kind == "samples" || kind == "density")) && !(extra == "exact" && kind == "trajectories"))
        problem(fmt::format("`with` cannot be `{}` here", extra),
                "samples and density have with = [\"data\"], trajectories with = [\"exact\"]");
    if (const std::string over = word(f, "over"); !over.empty() && (over != "density" || kind != "trajectories"))
      problem(fmt::format("`over` cannot be `{}` here", over), "trajectories have over = \"density\"");
    if (f.options.contains("range")) {
      const Json& r = f.options["range"];
      const auto pair = [](const Json& p) { return p.is_array() && p.size() == 2 && p[0].is_number() && p[1].is_number(); };
      if (!r.is_array() || r.size() != 2 || !pair(r[0]) || !pair(r[1])) problem("`range` is wrong", "such as [[-8.0, 8.0], [-8.0, 8.0]]");
    }
    if (f.options.contains("at") && !f.options["at"].is_object()) problem("`at` is wrong", "a table of axes, such as { steps = 10 }");
    if (f.options.contains("t") && (!f.options["t"].is_number() || f.options["t"] <= 0 || kind != "score"))
      problem("`t` is wrong", "the time of a score field, above 0");
    if (f.options.contains("count") && (!f.options["count"].is_number_integer() || f.options["count"] < 1))
      problem("`count` is wrong", "a number above 0");
    if (f.options.contains("columns") && (!f.options["columns"].is_number_integer() || f.options["columns"] < 1 || kind != "grid"))
      problem("`columns` is wrong", "a number above 0, how many images of a grid are in a row");
  }
}

}  // namespace scorelab::report
