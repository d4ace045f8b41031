#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "comparison.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

constexpr double most_runs = 100000, most_values = 1e7;

/// The key that an override sets, and whether an axis sweeps it.
void overrides_and_axes(const Comparison& c, const Node& over, Findings& findings) {
  std::string key;
  const Node* node = &over;
  Position at = over.at;
  while (node->kind == Kind::table && node->members.size() == 1) {
    key += (key.empty() ? "" : ".") + node->members[0].key;
    at = node->members[0].key_at;
    node = &node->members[0].value;
  }
  for (const auto& a : c.axes)
    if (!a.key.empty() && (a.key == key || a.key.rfind(key + ".", 0) == 0))
      findings.problem({at,
                        fmt::format("`{}` is what the axis `{}` changes", a.key, a.name),
                        fmt::format("such as -s sweep.{}.values=[..]", a.name),
                        {},
                        false});
}

double values_of(const Node& n) {
  double out = 1;
  for (const auto& item : n.items) out += values_of(item);
  for (const auto& m : n.members) out += values_of(m.value);
  return out;
}

/// Whether all cells, of which each holds the whole experiment, can be held.
bool fits(const Comparison& c, const std::vector<Variant>& variants, const Node& experiment,
          Findings& findings) {
  double cells = 0;
  for (const auto& v : variants) {
    double own = 1;
    for (const auto& a : c.axes)
      if (a.applies_to(v.name))
        own *= static_cast<double>(std::max<std::size_t>(1, a.points.size()));
    cells += own;
  }
  if (const double size = values_of(experiment); cells * size > most_values) {
    findings.problem({experiment.at,
                      fmt::format("the comparison has {:.0f} cells of an experiment with {:.0f} "
                                  "values: too many to hold",
                                  cells, size),
                      "fewer values of axes, or a smaller experiment",
                      {},
                      false});
    return false;
  }
  const auto seeds =
      static_cast<double>((c.seeds.apart ? c.seeds.train.size() : 1) * c.seeds.sample.size());
  if (cells * seeds > most_runs) {
    findings.problem(
        {experiment.at,
         fmt::format("the comparison has {:.0f} cells and {:.0f} seeds: more than {:.0f} runs",
                     cells, seeds, most_runs),
         "fewer values or seeds, or `only` and `except`",
         {},
         false});
    return false;
  }
  return true;
}

std::vector<Cell> cells_of(const Variant& variant, const std::vector<Axis>& axes,
                           const Node& experiment) {
  std::vector<Cell> out{{{}, experiment}};
  if (!variant.name.empty()) {
    out[0].at.emplace_back("variant", variant.name);
    merge(out[0].root, variant.change, Merge::keep);
  }
  for (const auto& axis : axes) {
    if (!axis.applies_to(variant.name) || axis.points.empty()) continue;
    std::vector<Cell> more;
    for (const auto& cell : out)
      for (const auto& point : axis.points) {
        more.push_back(cell);
        more.back().at.emplace_back(axis.name, point.label);
        merge(more.back().root, point.change, Merge::keep);
      }
    out = std::move(more);
  }
  return out;
}

bool is_of_experiment(const Node::Member& m) {
  return std::find(experiment_keys.begin(), experiment_keys.end(), m.key) != experiment_keys.end();
}

}  // namespace

const std::vector<std::string> experiment_keys{
    "dataset", "holdout", "space",  "scheduler", "network", "output", "objective",
    "train",   "sampler", "guides", "sample",    "metrics", "run",    "models"};

std::string Seeds::name(std::int64_t train_seed, std::int64_t sample_seed) const {
  return apart && train.size() > 1 ? fmt::format("t{}s{}", train_seed, sample_seed)
                                   : fmt::format("s{}", sample_seed);
}

bool Axis::applies_to(const std::string& variant) const {
  const auto in = [&](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), variant) != list.end();
  };
  return (only.empty() || in(only)) && !in(except);
}

std::string text(const Coordinates& at) {
  std::string out;
  for (const auto& [axis, label] : at)
    out += (out.empty() ? "" : " ") + (axis == "variant" ? label : axis + "=" + label);
  return out;
}

const Axis* Comparison::axis(const std::string& name) const {
  const auto it =
      std::find_if(axes.begin(), axes.end(), [&](const Axis& a) { return a.name == name; });
  return it == axes.end() ? nullptr : &*it;
}

std::vector<std::string> Comparison::places() const {
  std::vector<std::string> out;
  if (!variants.empty()) out.emplace_back("variant");
  for (const auto& a : axes)
    if (!a.best) out.push_back(a.name);
  return out;
}

std::vector<std::string> Comparison::labels(const std::string& name) const {
  std::vector<std::string> out;
  if (name == "variant")
    for (const auto& v : variants) out.push_back(v.name);
  else if (const Axis* a = axis(name))
    for (const auto& p : a->points) out.push_back(p.label);
  return out;
}

std::vector<Cell> expand(const Comparison& c, const Node& root, const std::vector<Node>& overrides,
                         Findings& findings) {
  for (const auto& over : overrides) overrides_and_axes(c, over, findings);
  Node experiment;
  experiment.at = root.at;
  std::copy_if(root.members.begin(), root.members.end(), std::back_inserter(experiment.members),
               is_of_experiment);
  const auto variants = c.variants.empty() ? std::vector<Variant>{{}} : c.variants;
  if (!fits(c, variants, experiment, findings)) return {};
  std::vector<Cell> out;
  for (const auto& v : variants) {
    auto own = cells_of(v, c.axes, experiment);
    std::move(own.begin(), own.end(), std::back_inserter(out));
  }
  for (Node over : overrides) {
    std::erase_if(over.members, [](const auto& m) { return !is_of_experiment(m); });
    for (auto& cell : out) merge(cell.root, over, Merge::carry);
  }
  return out;
}

Json to_json(const Comparison& c) {
  Json variants = Json::array(), axes = Json::array(), claims = Json::array(),
       papers = Json::array(), figures = Json::array();
  for (const auto& v : c.variants) variants.push_back(v.name);
  for (const auto& a : c.axes) {
    Json labels = Json::array();
    for (const auto& p : a.points) labels.push_back(p.label);
    axes.push_back({{"name", a.name},
                    {"key", a.key},
                    {"labels", labels},
                    {"only", a.only},
                    {"except", a.except},
                    {"best", a.best ? Json(a.best->metric) : Json()}});
  }
  for (const auto& x : c.claims)
    claims.push_back({{"name", x.name},
                      {"says", x.says},
                      {"paper", x.paper},
                      {"decide", x.decide},
                      {"holds", x.holds.text},
                      {"at", x.at}});
  for (const auto& p : c.papers)
    papers.push_back({{"name", p.name},
                      {"cite", p.cite},
                      {"beside", p.beside},
                      {"over", p.over},
                      {"values", p.values}});
  for (const auto& f : c.figures) figures.push_back({{"name", f.name}, {"options", f.options}});
  const auto& o = c.compare;
  return {
      {"name", c.name},
      {"question", c.question},
      {"seeds", {{"train", c.seeds.train}, {"sample", c.seeds.sample}, {"apart", c.seeds.apart}}},
      {"variants", variants},
      {"axes", axes},
      {"claims", claims},
      {"papers", papers},
      {"figures", figures},
      {"compare",
       {{"baseline", o.baseline.text},
        {"primary", o.primary},
        {"match", o.match},
        {"rows", o.rows},
        {"columns", o.columns},
        {"cost", o.cost}}}};
}

Comparison comparison_of(const Json& j) {
  Comparison c;
  c.name = j.at("name");
  c.question = j.at("question");
  c.seeds = {j.at("seeds").at("train"), j.at("seeds").at("sample"), j.at("seeds").at("apart")};
  for (const auto& v : j.at("variants")) c.variants.push_back({v, {}, {}});
  for (const auto& a : j.at("axes")) {
    Axis axis;
    axis.name = a.at("name");
    axis.key = a.at("key");
    axis.only = a.at("only");
    axis.except = a.at("except");
    for (const auto& label : a.at("labels")) axis.points.push_back({label, {}, {}});
    if (!a.at("best").is_null()) axis.best = Axis::Best{a.at("best"), {}, {}};
    c.axes.push_back(std::move(axis));
  }
  for (const auto& x : j.at("claims")) {
    Claim claim;
    claim.name = x.at("name");
    claim.says = x.at("says");
    claim.paper = x.at("paper");
    claim.decide = x.at("decide");
    claim.holds.text = x.at("holds");
    claim.at = x.at("at").get<std::map<std::string, std::vector<std::string>>>();
    c.claims.push_back(std::move(claim));
  }
  for (const auto& p : j.at("papers"))
    c.papers.push_back(
        {p.at("name"), p.at("cite"), p.at("beside"), p.at("over"), p.at("values"), {}});
  for (const auto& f : j.at("figures")) c.figures.push_back({f.at("name"), f.at("options"), {}});
  const Json& o = j.at("compare");
  c.compare = {{o.at("baseline"), {}}, o.at("primary"), o.at("match"),
               o.at("rows"),           o.at("columns"), o.at("cost")};
  return c;
}

}  // namespace scorelab::manifest
