#include "compare/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "params/number.h"

namespace scorelab::compare {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// By how much a relation holds; negative where it does not.
double margin(const std::string& relation, double a, double b) {
  if (relation == "<" || relation == "<=") return b - a;
  if (relation == ">" || relation == ">=") return a - b;
  return 1e-9 * std::max(std::abs(a), std::abs(b)) - std::abs(a - b);
}
bool holds(const std::string& relation, double m) {
  return relation == "<" || relation == ">" ? m > 0 : m >= 0;
}

Outcome decide(const std::string& how, const std::string& relation,
               const std::vector<double>& margins, std::string& why) {
  const auto sign = [&](double m) { return holds(relation, m) ? Outcome::pass : Outcome::fail; };
  if (std::any_of(margins.begin(), margins.end(), [](double m) { return std::isnan(m); })) {
    why = "a value is not a number";
    return Outcome::undecided;
  }
  if (relation == "=") return sign(*std::min_element(margins.begin(), margins.end()));
  if (how == "median") return sign(median(margins));
  if (how == "value") return sign(mean(margins));
  if (how == "every-seed")
    return std::all_of(margins.begin(), margins.end(), [&](double m) { return holds(relation, m); })
               ? Outcome::pass
               : Outcome::fail;
  if (margins.size() < 2) {
    why = "an interval needs at least two; with one, decide = \"value\"";
    return Outcome::undecided;
  }
  const Interval i = interval(margins);
  if (i.low > 0 || (i.low == 0 && holds(relation, 0))) return Outcome::pass;
  if (i.high < 0 || (i.high == 0 && !holds(relation, 0))) return Outcome::fail;
  why = "the 95 % interval of the difference holds 0";
  return Outcome::undecided;
}

/// The labels that a claim looks at along one axis.
std::vector<std::string> labels_of(const manifest::Claim& claim, const Comparison& c,
                                   const std::string& axis) {
  const auto at = claim.at.find(axis);
  return at == claim.at.end() ? c.labels(axis) : at->second;
}

/// Every place of the free axes; what `at` says of the others restricts reductions over them.
std::vector<Coordinates> places(const manifest::Claim& claim, const Comparison& c,
                                const std::set<std::string>& free) {
  std::vector<Coordinates> out(1);
  for (const auto& [axis, labels] : claim.at)
    if (!free.contains(axis))
      out[0].emplace_back("@" + axis, fmt::format("{}", fmt::join(labels, ",")));
  std::vector<std::string> order;
  if (!c.variants.empty()) order.emplace_back("variant");
  for (const auto& a : c.axes) order.push_back(a.name);
  for (const auto& axis : order) {
    if (!free.contains(axis)) continue;
    std::vector<Coordinates> more;
    for (const auto& place : out)
      for (const auto& label : labels_of(claim, c, axis)) {
        more.push_back(place);
        more.back().emplace_back(axis, label);
      }
    out = std::move(more);
  }
  return out;
}

Coordinates shown(const Coordinates& at) {
  Coordinates out;
  for (const auto& place : at)
    if (place.first[0] != '@') out.push_back(place);
  return out;
}

void quantities(const Formula::Node& node, const Coordinates& at, const Comparison& c,
                const std::function<void(const std::string&, const Coordinates&)>& f) {
  value(node, at, c,
        [&](const std::string& name, const Coordinates& where) -> std::optional<double> {
          f(name, where);
          return 1.0;
        });
}

/// Whether every quantity of the formula has a cell here.
bool exists(const Formula& f, const Coordinates& at, const Comparison& c,
            const std::vector<Coordinates>& cells) {
  Data data;
  data.cells = cells;
  bool all = true;
  for (const auto& side : f.sides) {
    const bool whole =
        value(side, at, c,
              [&](const std::string&, const Coordinates& where) -> std::optional<double> {
                return data.find(where) ? std::optional(1.0) : std::nullopt;
              })
            .has_value();
    all = all && whole;
  }
  return all;
}

std::string number(double v) { return fmt::format("{:.4g}", v); }

/// `13.36 < 14.04 < 16.66: holds`, from the paper's table.
std::string of_paper(const Formula& f, const manifest::Claim& claim, const Comparison& c,
                     const Coordinates& at) {
  for (const auto& paper : c.papers) {
    if (!claim.paper.empty() && paper.name != claim.paper) continue;
    std::string out;
    bool good = true;
    std::vector<double> sides;
    for (const auto& side : f.sides) {
      const auto v =
          value(side, at, c,
                [&](const std::string& name, const Coordinates& where) -> std::optional<double> {
                  return name == paper.beside ? paper_value(paper, c, where) : std::nullopt;
                });
      if (!v) break;
      sides.push_back(*v);
    }
    if (sides.size() != f.sides.size()) continue;
    for (std::size_t i = 0; i < sides.size(); ++i) {
      out += (i ? " " + f.relations[i - 1] + " " : "") + number(sides[i]);
      if (i)
        good =
            good && holds(f.relations[i - 1], margin(f.relations[i - 1], sides[i - 1], sides[i]));
    }
    return out + (good ? ", holds" : ", does not hold");
  }
  return "";
}

/// What a formula's sides and relations are in each unit that has every quantity of it.
struct Measured {
  std::vector<std::vector<double>> sides, margins;
};

Measured measure(const Formula& f, const Data& data, const Coordinates& at) {
  std::map<std::int64_t, std::size_t> counts;
  std::size_t asked = 0;
  for (const auto& side : f.sides)
    quantities(side, at, data.comparison, [&](const std::string& name, const Coordinates& where) {
      const auto cell = data.find(where);
      if (!cell) return;
      ++asked;
      for (const auto& [unit, unused] : data.units(*cell, name)) ++counts[unit];
    });
  Measured out{std::vector<std::vector<double>>(f.sides.size()),
               std::vector<std::vector<double>>(f.relations.size())};
  for (const auto& [unit, count] : counts) {
    if (count != asked) continue;
    const auto lookup = [&, unit = unit](const std::string& name,
                                         const Coordinates& where) -> std::optional<double> {
      const auto cell = data.find(where);
      if (!cell) return {};
      const auto units = data.units(*cell, name);
      const auto it = units.find(unit);
      return it == units.end() ? std::nullopt : std::optional(it->second);
    };
    for (std::size_t i = 0; i < f.sides.size(); ++i)
      out.sides[i].push_back(value(f.sides[i], at, data.comparison, lookup).value_or(nan));
    for (std::size_t i = 0; i < f.relations.size(); ++i)
      out.margins[i].push_back(
          margin(f.relations[i], out.sides[i].back(), out.sides[i + 1].back()));
  }
  return out;
}

Instance judge_at(const Formula& f, const manifest::Claim& claim, const Data& data,
                  const Coordinates& at) {
  const auto middle = [&](const std::vector<double>& of_units) {
    return claim.decide == "median" ? median(of_units) : mean(of_units);
  };
  Instance out;
  out.at = shown(at);
  out.paper = of_paper(f, claim, data.comparison, at);
  const auto [sides, margins] = measure(f, data, at);
  for (const auto& side : sides) out.sides.push_back(middle(side));
  const std::size_t n = margins[0].size(), planned = data.units_planned();
  if (n < planned) {
    out.why = n == 0
                  ? "nothing is measured yet"
                  : fmt::format("{} of {} {} are missing", planned - n, planned, data.units_are());
    return out;
  }
  out.outcome = Outcome::pass;
  double tightest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < f.relations.size(); ++i) {
    std::string why;
    const Outcome own = decide(claim.decide, f.relations[i], margins[i], why);
    const double m = middle(margins[i]);
    if (!(m >= tightest)) {
      tightest = m;
      out.margin = m;
      out.margins = margins[i];
      out.interval = interval(margins[i]);
    }
    if (own == Outcome::pass) continue;
    if (out.outcome == Outcome::pass || own == Outcome::fail)
      out.why = why.empty() ? fmt::format("{} {} {} does not hold", number(out.sides[i]),
                                          f.relations[i], number(out.sides[i + 1]))
                            : why;
    if (own == Outcome::fail || out.outcome == Outcome::pass) out.outcome = own;
  }
  return out;
}

}  // namespace

std::string word(Outcome o) {
  return o == Outcome::pass ? "pass" : o == Outcome::fail ? "fail" : "undecided";
}

const Instance* most_telling(const Verdict& v) {
  const auto tightness = [](const Instance& i) {
    double size = 1e-300;
    for (const double s : i.sides) size = std::max(size, std::abs(s));
    const double relative = i.margin / size;
    return std::isfinite(relative) ? relative : std::numeric_limits<double>::infinity();
  };
  const Instance* out = nullptr;
  for (const auto& i : v.instances)
    if (!out || (i.outcome != Outcome::pass && out->outcome == Outcome::pass) ||
        ((i.outcome == Outcome::pass) == (out->outcome == Outcome::pass) &&
         tightness(i) < tightness(*out)))
      out = &i;
  return out;
}

std::string numbers(const Verdict& v, const Instance& instance) {
  std::string out;
  for (std::size_t i = 0; i < instance.sides.size(); ++i)
    out += (i ? " " + v.relations[i - 1] + " " : "") + number(instance.sides[i]);
  return out;
}

std::vector<Verdict> judge(const Data& data) {
  std::vector<Verdict> out;
  Names names{&data.comparison, {}};
  for (const auto& q : data.metrics) names.metrics.push_back(q.name.substr(0, q.name.find('.')));
  for (const auto& claim : data.comparison.claims) {
    Verdict v{&claim, Outcome::undecided, {}, data.units_planned(), {}};
    FormulaError error;
    const auto f = parse(claim.holds.text, names, error);
    if (f) v.relations = f->relations;
    if (f)
      for (const auto& at : places(claim, data.comparison, f->free_axes(data.cells)))
        if (exists(*f, at, data.comparison, data.cells))
          v.instances.push_back(judge_at(*f, claim, data, at));
    const auto any = [&](Outcome o) {
      return std::any_of(v.instances.begin(), v.instances.end(),
                         [&](const Instance& i) { return i.outcome == o; });
    };
    v.outcome = any(Outcome::fail)                               ? Outcome::fail
                : v.instances.empty() || any(Outcome::undecided) ? Outcome::undecided
                                                                 : Outcome::pass;
    out.push_back(std::move(v));
  }
  return out;
}

namespace {

/// The metrics that points of axes are chosen by.
void check_best(const Comparison& c, const std::vector<std::string>& metrics,
                manifest::Findings& findings) {
  for (const auto& a : c.axes) {
    if (!a.best) continue;
    const std::string& metric = a.best->metric;
    if (std::none_of(metrics.begin(), metrics.end(),
                     [&](const auto& m) { return metric == m || metric.rfind(m + ".", 0) == 0; }))
      findings.problem(
          {a.best->at,
           fmt::format("`best` of sweep `{}`: no metric is called `{}`", a.name, metric),
           fmt::format("metrics: {}", fmt::join(metrics, ", ")),
           {}});
  }
}

}  // namespace

void check_claims(const Comparison& c, const std::vector<Coordinates>& cells,
                  const std::vector<std::string>& metrics, manifest::Findings& findings) {
  const Names names{&c, metrics};
  const auto inside = [](const manifest::Text& text, int column, int length) {
    manifest::Position at = text.at;
    at.column += 1 + column;
    at.length = length;
    return at;
  };
  const auto known = [&](const std::string& name, const manifest::Position& at,
                         const std::string& what) {
    if (name.empty() || names.knows(name)) return;
    const auto all = names.all();
    const std::string near = manifest::nearest(name, all);
    findings.problem({at,
                      fmt::format("{}: nothing is called `{}`", what, name),
                      near.empty() ? fmt::format("quantities: {}", fmt::join(all, ", "))
                                   : fmt::format("did you mean `{}`?", near),
                      {}});
  };
  for (const auto& claim : c.claims) {
    FormulaError error;
    const auto f = parse(claim.holds.text, names, error);
    if (!f) {
      findings.problem({inside(claim.holds, error.column, error.length),
                        error.message,
                        error.hint,
                        {fmt::format("in the claim `{}`", claim.name)}});
      continue;
    }
    const auto all = places(claim, c, f->free_axes(cells));
    if (std::none_of(all.begin(), all.end(),
                     [&](const auto& at) { return exists(*f, at, c, cells); }))
      findings.problem({inside(claim.holds, 0, static_cast<int>(claim.holds.text.size())),
                        fmt::format("the claim `{}` matches no cell", claim.name),
                        "its variants and axes never meet",
                        {}});
  }
  if (!c.compare.baseline.text.empty()) {
    FormulaError error;
    if (!parse_place(c.compare.baseline.text, c, error))
      findings.problem({inside(c.compare.baseline, error.column, error.length),
                        "`baseline`: " + error.message,
                        error.hint,
                        {}});
  }
  for (const auto& p : c.papers)
    known(p.beside, p.at, fmt::format("`beside` of paper `{}`", p.name));
  check_best(c, metrics, findings);
  known(c.compare.primary, c.compare.primary_at, "`primary`");
  for (std::size_t i = 0; i < c.compare.cost.size(); ++i)
    known(c.compare.cost[i], c.compare.cost_at[i], "`cost`");
}

Json to_json(const Verdict& v) {
  Json instances = Json::array();
  for (const auto& i : v.instances) {
    Json at = Json::object(), sides = Json::array();
    for (const auto& [axis, label] : i.at) at[axis] = label;
    for (const double s : i.sides) sides.push_back(json_of(s));
    instances.push_back({{"at", at},
                         {"outcome", word(i.outcome)},
                         {"sides", sides},
                         {"margin", json_of(i.margin)},
                         {"interval", {json_of(i.interval.low), json_of(i.interval.high)}},
                         {"why", i.why},
                         {"paper", i.paper}});
  }
  return {{"name", v.claim->name},     {"says", v.claim->says},      {"holds", v.claim->holds.text},
          {"decide", v.claim->decide}, {"outcome", word(v.outcome)}, {"n", v.n},
          {"instances", instances}};
}

}  // namespace scorelab::compare
