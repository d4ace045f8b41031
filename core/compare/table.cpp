#include "compare/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "compare/formula.h"

namespace scorelab::compare {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> values_of(const std::map<std::int64_t, double>& units) {
  std::vector<double> out;
  for (const auto& [unit, value] : units) out.push_back(value);
  return out;
}

bool within(const Coordinates& cell, const Coordinates& at) {
  return std::all_of(at.begin(), at.end(),
                     [&](const auto& p) { return label_at(cell, p.first) == p.second; });
}

/// The baseline's cell beside this one: its own coordinates with the baseline's labels put in; with
/// NFE matched, the baseline's cell of equal cost that shares most with it.
std::optional<std::size_t> beside(const Data& data, std::size_t cell, const Coordinates& baseline,
                                  bool match_nfe) {
  if (!match_nfe) {
    Coordinates at = data.cells[cell];
    for (const auto& place : baseline) {
      std::erase_if(at, [&](const auto& p) { return p.first == place.first; });
      at.push_back(place);
    }
    return data.find(at);
  }
  const double nfe = cost(data, cell, "nfe");
  std::optional<std::size_t> best;
  std::size_t best_shared = 0;
  for (std::size_t i = 0; i < data.cells.size(); ++i) {
    if (!within(data.cells[i], baseline) || !(std::abs(cost(data, i, "nfe") - nfe) <= 0.01 * nfe))
      continue;
    std::size_t shared = 1;
    for (const auto& place : data.cells[i])
      shared += label_at(data.cells[cell], place.first) == place.second;
    if (shared > best_shared) {
      best = i;
      best_shared = shared;
    }
  }
  return best;
}

void note_runs(const Data& data, Row& row, const Quantity& q) {
  std::size_t missing = 0;
  std::vector<std::string> failed;
  for (const auto& o : data.observations) {
    if (o.cell != row.cell) continue;
    const auto value = o.values.find(q.name);
    if (o.state == "failed" && value == o.values.end())
      failed.push_back(
          fmt::format("seed {}: {}", o.sample_seed, o.failure.substr(0, o.failure.find('\n'))));
    else if (value == o.values.end())
      ++missing;
    else if (!std::isfinite(value->second))
      row.notes.push_back(fmt::format("seed {} is {}", o.sample_seed, value->second));
  }
  if (!failed.empty())
    row.notes.push_back(fmt::format("{} failed ({})", failed.size(), failed.front()));
  if (missing > 0) row.notes.push_back(fmt::format("{} not run", missing));
  if (!data.chosen[row.cell].is_null()) {
    const Json& c = data.chosen[row.cell];
    row.notes.push_back(fmt::format("{}: best of {} by {}, on other seeds",
                                    c["label"].get<std::string>(), c["of"].dump(),
                                    c["metric"].get<std::string>()));
  }
}

std::optional<double> paper_at(const Data& data, const Quantity& q, const Coordinates& at) {
  for (const auto& paper : data.comparison.papers) {
    if (paper.beside != q.name) continue;
    if (const auto v = paper_value(paper, data.comparison, at)) return v;
  }
  return {};
}

}  // namespace

std::string better(const std::string& goal) {
  if (goal == "min") return "lower is better";
  return goal == "max" ? "higher is better" : "";
}

std::string digits(double v) {
  if (!std::isfinite(v)) return std::isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
  return fmt::format("{:.4g}", v);
}

double cost(const Data& data, std::size_t cell, const std::string& name) {
  return mean(values_of(data.units(cell, name)));
}

std::vector<Quantity> quantities(const Data& data, const std::string& name) {
  const std::string wanted = !name.empty() ? name : data.comparison.compare.primary;
  if (wanted.empty()) return data.metrics;
  std::vector<Quantity> out;
  for (const auto* list : {&data.metrics, &data.costs}) {
    if (!out.empty()) break;  // what measuring a metric cost is no part of it
    for (const auto& q : *list)
      if (q.name == wanted || q.name.rfind(wanted + ".", 0) == 0) out.push_back(q);
  }
  if (out.empty()) {
    std::vector<std::string> all;
    for (const auto* list : {&data.metrics, &data.costs})
      for (const auto& q : *list) all.push_back(q.name);
    const std::string near = manifest::nearest(wanted, all);
    throw Error(fmt::format("nothing measured is called `{}`{}; there is: {}", wanted,
                            near.empty() ? "" : fmt::format("; did you mean `{}`?", near),
                            fmt::join(all, ", ")));
  }
  return out;
}

namespace {

/// Differences from `row.baseline`, paired by unit.
void compare_to_baseline(const Data& data, const Quantity& q, Row& row, bool match_nfe) {
  const auto own = data.units(row.cell, q.name), other = data.units(*row.baseline, q.name);
  double mine = 0, theirs = 0;  // of the pairs
  for (const auto& [unit, value] : own) {
    const auto it = other.find(unit);
    if (it == other.end()) continue;
    row.differences.push_back(value - it->second);
    mine += value;
    theirs += it->second;
  }
  row.difference = mean(row.differences);
  row.difference_interval = interval(row.differences);
  row.p = sign_flip(row.differences);
  row.ratio = row.differences.empty() ? nan : mine / theirs;
  const double nfe = cost(data, row.cell, "nfe"), their_nfe = cost(data, *row.baseline, "nfe");
  if (nfe > 0 && their_nfe > 0 && std::abs(nfe - their_nfe) > 0.01 * their_nfe)
    row.notes.push_back(
        fmt::format("{}x the NFE{}", digits(nfe / their_nfe), match_nfe ? "" : "; --match nfe"));
}

}  // namespace

Table table(const Data& data, const Quantity& q, const TableOptions& options) {
  const Comparison& c = data.comparison;
  std::string name = !options.baseline.empty() ? options.baseline : c.compare.baseline.text;
  if (name.empty() && !c.variants.empty()) name = c.variants.front().name;
  Coordinates baseline;
  if (!name.empty()) {
    FormulaError error;
    const auto place = parse_place(name, c, error);
    if (!place)
      throw Error(fmt::format("baseline \"{}\": {}; {}", name, error.message, error.hint));
    baseline = *place;
  }
  Table out{q, {}, {}};
  const std::size_t planned = data.units_planned();
  bool compared = false, sampled_p = false;
  std::vector<std::string> unmatched;
  for (std::size_t i = 0; i < data.cells.size(); ++i) {
    if (!within(data.cells[i], options.at)) continue;
    Row row;
    row.cell = i;
    const auto own = data.units(i, q.name);
    row.values = values_of(own);
    row.mean = mean(row.values);
    row.interval = interval(row.values);
    row.paper = paper_at(data, q, data.cells[i]);
    note_runs(data, row, q);
    const bool is_baseline = within(data.cells[i], baseline);
    if (!baseline.empty() && !is_baseline) {
      row.baseline = beside(data, i, baseline, options.match_nfe);
      if (!row.baseline) unmatched.push_back(manifest::text(data.cells[i]));
    }
    if (row.baseline) {
      compare_to_baseline(data, q, row, options.match_nfe);
      compared = true;
      sampled_p = sampled_p || !row.p.exact;
    }
    out.rows.push_back(std::move(row));
  }
  out.notes.push_back(fmt::format("n counts {}{}", data.units_are(),
                                  planned < 2 ? "; one says nothing of the spread" : ""));
  if (!baseline.empty())
    out.notes.push_back(fmt::format("differences are paired by seed, against {}{}",
                                    manifest::text(baseline),
                                    options.match_nfe ? " at equal NFE" : ""));
  if (compared && planned < 6)
    out.notes.push_back(
        fmt::format("n = {}: no sign-flip p can be below {}", planned,
                    digits(std::min(1.0, 2 / std::pow(2.0, static_cast<double>(planned))))));
  if (sampled_p) out.notes.push_back("p is from 200000 random sign patterns, as n > 20");
  if (!unmatched.empty())
    out.notes.push_back(fmt::format("without a baseline{}: {}",
                                    options.match_nfe ? " of equal NFE" : "",
                                    fmt::join(unmatched, "; ")));
  return out;
}

}  // namespace scorelab::compare
