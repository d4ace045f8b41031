#pragma once
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "compare/data.h"

namespace scorelab::test {

using compare::Data;
using manifest::Comparison;
using manifest::Coordinates;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

using Axes = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// Variants, axes and seeds 0 .. n-1, as a manifest would give them.
inline Comparison comparison(const std::vector<std::string>& variants, const Axes& axes,
                             std::int64_t seeds = 3) {
  Comparison c;
  c.name = "test";
  for (const auto& name : variants) c.variants.push_back({name, {}, {}});
  for (const auto& [name, labels] : axes) {
    manifest::Axis axis;
    axis.name = name;
    for (const auto& label : labels) axis.points.push_back({label, {}, {}});
    c.axes.push_back(axis);
  }
  c.seeds.train.clear();
  for (std::int64_t s = 0; s < seeds; ++s) c.seeds.train.push_back(s);
  c.seeds.sample = c.seeds.train;
  return c;
}

/// A comparison with a cell for every variant and every value of its axes, and nothing measured.
inline Data nothing_measured(const Comparison& c) {
  Data d;
  d.comparison = c;
  d.cells = {{}};
  std::vector<std::string> axes;
  if (!c.variants.empty()) axes.emplace_back("variant");
  for (const auto& a : c.axes) axes.push_back(a.name);
  for (const auto& axis : axes) {
    std::vector<Coordinates> more;
    for (const auto& cell : d.cells)
      for (const auto& label : c.labels(axis)) {
        if (const auto* a = c.axis(axis);
            a && !a->applies_to(compare::label_at(cell, "variant").value_or("")))
          continue;
        more.push_back(cell);
        more.back().emplace_back(axis, label);
      }
    for (const auto& cell : d.cells)  // the axis is not this variant's
      if (const auto* a = c.axis(axis);
          a && !a->applies_to(compare::label_at(cell, "variant").value_or("")))
        more.push_back(cell);
    d.cells = more;
  }
  d.chosen.resize(d.cells.size());
  d.metrics = {{"mmd", "1", "min", ""}, {"recall", "1", "max", ""}};
  d.costs = compare::known_costs();
  d.trained = true;
  return d;
}

/// Seed k of a cell measured values[k].
inline void put(Data& d, const Coordinates& at, const std::string& quantity,
                const std::vector<double>& values) {
  const std::size_t cell = d.find(at).value();
  for (std::size_t k = 0; k < values.size(); ++k) {
    compare::Observation* own = nullptr;
    for (auto& o : d.observations)
      if (o.cell == cell && o.sample_seed == static_cast<std::int64_t>(k)) own = &o;
    if (!own) {
      d.observations.push_back(
          {cell, static_cast<std::int64_t>(k), static_cast<std::int64_t>(k), "done", "", {}});
      own = &d.observations.back();
    }
    own->values[quantity] = values[k];
  }
}

}  // namespace scorelab::test
