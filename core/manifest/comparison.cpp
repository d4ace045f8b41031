#include "comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "manifest/text.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

const std::vector<std::string> comparison_keys{"name",  "question", "seeds",  "plugins", "variants",
                                               "sweep", "paper",    "claims", "figures", "compare"};

bool is_number(const Node& n) { return n.kind == Kind::integer || n.kind == Kind::number; }
double number_of(const Node& n) { return n.kind == Kind::integer ? static_cast<double>(n.integer) : n.number; }

}  // namespace

bool plain_name(const std::string& text) {
  return !text.empty() && text[0] != '.' && text.find_first_of("/[],= \t\"") == text.npos && text.size() <= 100 && is_printable(text);
}

namespace {

/// What results put beside the folders of variants, and beside those of experiments.
const std::vector<std::string> files_of_experiment{"report.html", "comparison.csv", "comparison.h5", "figures", "experiment.json"};
const std::vector<std::string> files_of_results{"index.html", "index.md"};

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

constexpr std::size_t most_runs = 100000;

class Reader {
 public:
  Reader(const Node& root, Findings& findings) : root_(root), findings_(findings) {}

  Comparison run(const std::string& name) {
    known_keys();
    c_.name = name;
    text(root_, "name", c_.name);
    text(root_, "question", c_.question);
    if (c_.name.empty() || c_.name.size() > 200 || c_.name[0] == '.' || c_.name.find('/') != std::string::npos || !is_printable(c_.name) ||
        contains(files_of_results, c_.name))
      problem(root_.find("name") ? root_.find("name")->at : root_.at, "`name` is the name of a folder under results",
              fmt::format("no slash, no dot in front, no control character, not empty, at most 200 bytes, and not {}",
                          fmt::join(files_of_results, " or ")));
    if (const Node* seeds = root_.find("seeds")) read_seeds(*seeds);
    if (const Node* plugins = root_.find("plugins"); plugins && !strings(*plugins))
      problem(plugins->at, "`plugins` lists folders", "expected an array of strings, such as [\"build\"]");
    each("variants", [&](const Node::Member& m) { variant(m); });
    each("sweep", [&](const Node::Member& m) { axis(m); });
    axes_of_one_key();
    each("paper", [&](const Node::Member& m) { paper(m); });
    each("claims", [&](const Node::Member& m) { claim(m); });
    each("figures", [&](const Node::Member& m) { c_.figures.push_back({m.key, to_json(m.value), m.key_at, m.value}); });
    if (const Node* table = root_.find("compare")) compare(*table);
    return std::move(c_);
  }

 private:
  void problem(const Position& at, std::string message, std::string hint, std::vector<std::string> notes = {}) {
    findings_.problem({at, std::move(message), std::move(hint), std::move(notes), false});
  }

  void known_keys() {
    auto known = comparison_keys;
    known.insert(known.begin() + 4, experiment_keys.begin(), experiment_keys.end());
    for (const auto& m : root_.members) {
      if (std::find(known.begin(), known.end(), m.key) != known.end()) continue;
      const std::string near = nearest(m.key, known);
      findings_.misspelt.insert(near);
      problem(m.key_at, fmt::format("a manifest has no key `{}`", m.key),
              near.empty() ? "unknown key" : fmt::format("did you mean `{}`?", near), {fmt::format("keys: {}", fmt::join(known, ", "))});
    }
  }

  /// Keys of a table against those it may have.
  void only_keys(const Node& table, const std::string& owner, const std::vector<std::string>& known) {
    for (const auto& m : table.members) {
      if (std::find(known.begin(), known.end(), m.key) != known.end()) continue;
      const std::string near = nearest(m.key, known);
      problem(m.key_at, fmt::format("{} has no key `{}`", owner, m.key),
              near.empty() ? "unknown key" : fmt::format("did you mean `{}`?", near), {fmt::format("keys: {}", fmt::join(known, ", "))});
    }
  }

  template <class F>
  void each(const std::string& key, F&& f) {
    const Node* table = root_.find(key);
    if (!table) return;
    if (table->kind != Kind::table)
      return problem(table->at, fmt::format("`{}` is {}", key, table->kind_name()), "expected a table of names");
    for (const auto& m : table->members) {
      if (!plain_name(m.key))
        problem(m.key_at, fmt::format("`{}` cannot be a name in `{}`", m.key, key),
                "no blank, quote, comma, slash, bracket or `=`, no dot in front");
      else if (m.value.kind != Kind::table)
        problem(m.value.at, fmt::format("`{}.{}` is {}", key, m.key, m.value.kind_name()),
                m.value.kind == Kind::boolean ? "`false` removes what `extends` brought, and it brought no such name" : "expected a table");
      else
        f(m);
    }
  }

  bool text(const Node& table, const std::string& key, std::string& out) {
    const Node* node = table.find(key);
    if (!node) return false;
    if (node->kind == Kind::string) return out = node->string, true;
    problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()), "expected a string");
    return false;
  }

  static bool strings(const Node& node) {
    return node.kind == Kind::array &&
           std::all_of(node.items.begin(), node.items.end(), [](const Node& i) { return i.kind == Kind::string; });
  }

  /// A string or an array of strings; each must be one of `known` where that is given.
  void names(const Node& table, const std::string& key, std::vector<std::string>& out, const std::string& what = "",
             const std::vector<std::string>& known = {}) {
    const Node* node = table.find(key);
    if (!node) return;
    if (node->kind != Kind::string && !strings(*node))
      return problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()), "expected a name or an array of names");
    const auto add = [&](const Node& item) {
      out.push_back(item.string);
      if (what.empty() || std::find(known.begin(), known.end(), item.string) != known.end()) return;
      const std::string near = nearest(item.string, known);
      problem(item.at, fmt::format("there is no {} `{}`", what, item.string),
              near.empty() ? fmt::format("{}: {}", what == "axis" ? "axes" : what + "s",
                                         known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")))
                           : fmt::format("did you mean `{}`?", near));
    };
    if (node->kind == Kind::string) return add(*node);
    for (const auto& item : node->items) add(item);
  }

  bool seed_list(const Node& node, std::vector<std::int64_t>& out) {
    out.clear();
    if (node.kind == Kind::integer && node.integer >= 1 && node.integer <= static_cast<std::int64_t>(most_runs)) {
      for (std::int64_t s = 0; s < node.integer; ++s) out.push_back(s);
      return true;
    }
    bool good = node.kind == Kind::array && !node.items.empty() && node.items.size() <= most_runs;
    std::set<std::int64_t> seen;
    for (const auto& item : node.items) {
      good = good && item.kind == Kind::integer && item.integer >= 0 && seen.insert(item.integer).second;
      if (good) out.push_back(item.integer);
    }
    if (!good)
      problem(
          node.at, "`seeds` is neither a count nor a list of seeds",
          fmt::format("expected a number of seeds up to {}, such as 8 for 0 .. 7, or different integers from 0, such as [0, 7]", most_runs),
          {"or { train = .., sample = .. }: that many trainings, and so many samplings of each"});
    return good;
  }

  void read_seeds(const Node& node) {
    Seeds& s = c_.seeds;
    if (node.kind != Kind::table) {
      if (seed_list(node, s.train)) s.sample = s.train;
      return;
    }
    only_keys(node, "`seeds`", {"train", "sample"});
    s.apart = true;
    if (const Node* train = node.find("train")) seed_list(*train, s.train);
    if (const Node* sample = node.find("sample")) seed_list(*sample, s.sample);
  }

  /// A partial manifest may hold what an experiment has, and nothing of the comparison.
  void partial(const Node& change, const std::string& owner) { only_keys(change, owner, experiment_keys); }

  void variant(const Node::Member& m) {
    if (contains(files_of_experiment, m.key))
      problem(m.key_at, fmt::format("a variant cannot be called `{}`", m.key), "results have a file of that name; choose another");
    partial(m.value, fmt::format("variant `{}`", m.key));
    c_.variants.push_back({m.key, m.key_at, m.value});
  }

  void axis(const Node::Member& m) {
    Axis a;
    a.name = m.key, a.at = m.key_at;
    const std::string owner = fmt::format("sweep `{}`", m.key);
    if (m.key == "variant" || m.key == "seed")
      problem(m.key_at, fmt::format("an axis cannot be called `{}`", m.key), "choose another name");
    only_keys(m.value, owner, {"key", "values", "points", "only", "except", "best"});
    std::vector<std::string> variants;
    for (const auto& v : c_.variants) variants.push_back(v.name);
    names(m.value, "only", a.only, "variant", variants);
    names(m.value, "except", a.except, "variant", variants);
    if (const Node* key = m.value.find("key")) {
      if (key->kind != Kind::string || key->string.empty())
        problem(key->at, "`key` of an axis is the key that it changes", "such as \"sampler.steps\"");
      else
        a.key = key->string;
    }
    const Node *values = m.value.find("values"), *points = m.value.find("points");
    if ((values == nullptr) == (points == nullptr))
      problem(m.key_at, fmt::format("{} needs either `values` or `points`", owner), "`key` and `values`, or `points` of partial manifests");
    else if (values && !m.value.find("key"))
      problem(m.key_at, fmt::format("{} has `values` but no `key`", owner), "such as key = \"sampler.steps\"");
    else if (values && !a.key.empty())
      read_values(a, *values, m.value.find("key")->at);
    else if (points)
      read_points(a, *points, owner);
    if (const Node* best = m.value.find("best")) read_best(a, *best);
    std::set<std::string> seen;
    for (const auto& p : a.points)
      if (!is_printable(p.label))
        problem(p.at, fmt::format("{} has a label with control characters", owner), "give it another: values = { label = .. }");
    for (const auto& p : a.points)
      if (!seen.insert(p.label).second)
        problem(p.at, fmt::format("{} has two values called `{}`", owner, p.label), "give them labels: values = { label = .. }");
    c_.axes.push_back(std::move(a));
  }

  /// Of two axes that change one key in one cell the later would win, and the earlier one's labels would be wrong.
  void axes_of_one_key() {
    const auto variants = c_.variants.empty() ? std::vector<Variant>{{}} : c_.variants;
    for (std::size_t i = 0; i < c_.axes.size(); ++i)
      for (std::size_t k = 0; k < i; ++k) {
        const Axis &a = c_.axes[k], &b = c_.axes[i];
        const bool same = !b.key.empty() && (a.key == b.key || a.key.rfind(b.key + ".", 0) == 0);
        if (same &&
            std::any_of(variants.begin(), variants.end(), [&](const Variant& v) { return a.applies_to(v.name) && b.applies_to(v.name); }))
          problem(b.at, fmt::format("sweep `{}` changes what sweep `{}` changes: `{}`", b.name, a.name, a.key),
                  a.key == b.key ? "one axis a key; `only` and `except` give variants axes of their own"
                                 : fmt::format("write sweep `{}` first", b.name));
      }
  }

  void read_values(Axis& a, const Node& values, const Position& key_at) {
    const auto add = [&](const std::string& label, Node value) {
      const Position at = value.at;
      if (value.kind == Kind::other)
        return problem(at, fmt::format("a value of sweep `{}` is {}", a.name, value.kind_name()), "no key takes one; write it as a string");
      a.points.push_back({label, at, under(a.key, key_at, std::move(value))});
    };
    const std::string first = a.key.substr(0, a.key.find('.'));
    if (std::find(experiment_keys.begin(), experiment_keys.end(), first) == experiment_keys.end()) {
      const std::string near = nearest(first, experiment_keys);
      problem(key_at, fmt::format("an experiment has no `{}`", first),
              near.empty() ? fmt::format("such as {}", fmt::join(experiment_keys, ", ")) : fmt::format("did you mean `{}`?", near));
      return;
    }
    if (values.kind == Kind::array && !values.items.empty()) {
      for (const auto& item : values.items) add(label_of(item), item);
    } else if (values.kind == Kind::table && values.find("from") && values.find("to")) {
      if (values.find("n")) return range(values, add);
      problem(values.at, fmt::format("the range of sweep `{}` has no `n`", a.name), "such as { from = 1, to = 2, n = 5 }");
    } else if (values.kind == Kind::table && !values.members.empty()) {
      for (const auto& v : values.members) add(canonical_label(v.key), v.value);
    } else {
      problem(values.at, fmt::format("`values` of sweep `{}` is {}", a.name, values.kind_name()),
              "expected an array, a table of labels, or { from = .., to = .., n = .. }");
    }
  }

  template <class Add>
  void range(const Node& values, const Add& add) {
    only_keys(values, "a range", {"from", "to", "n", "scale"});
    const Node &from = *values.find("from"), &to = *values.find("to"), &n = *values.find("n");
    const Node* scale = values.find("scale");
    const bool log = scale && scale->kind == Kind::string && scale->string == "log";
    if (scale && !log && !(scale->kind == Kind::string && scale->string == "linear"))
      return problem(
          scale->at, "`scale` of a range is \"linear\" or \"log\"",
          scale->kind == Kind::string ? suggestion(scale->string, {"linear", "log"}, "expected") : "linear where it is left out");
    if (!is_number(from) || !is_number(to) || n.kind != Kind::integer || n.integer < 2 || n.integer > 10000 ||
        (log && (number_of(from) <= 0 || number_of(to) <= 0)))
      return problem(values.at, "a range goes from a number to a number in n values", "n from 2 to 10000; on a log scale both above 0");
    for (std::int64_t k = 0; k < n.integer; ++k) {
      const double u = static_cast<double>(k) / static_cast<double>(n.integer - 1), a = number_of(from), b = number_of(to);
      double value = log ? a * std::pow(b / a, u) : a + (b - a) * u;
      char buffer[40];
      const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 12).ptr;
      std::from_chars(buffer, end, value);  // 0.07, not 0.07000000000000001
      if (k + 1 == n.integer) value = b;
      Node node;
      node.at = values.at;
      if (from.kind == Kind::integer && to.kind == Kind::integer && value == std::floor(value) && std::abs(value) < 9e15)
        node.kind = Kind::integer, node.integer = static_cast<std::int64_t>(value);
      else
        node.kind = Kind::number, node.number = value;
      add(shortest(value), std::move(node));
    }
  }

  void read_points(Axis& a, const Node& points, const std::string& owner) {
    if (points.kind != Kind::table || points.members.empty())
      return problem(points.at, fmt::format("`points` of {} is {}", owner, points.kind_name()),
                     "expected a table of labels, each a partial manifest");
    if (!a.key.empty()) problem(points.at, fmt::format("{} has a `key` and `points`", owner), "points say themselves what they change");
    for (const auto& p : points.members) {
      if (p.value.kind != Kind::table) {
        problem(p.value.at, fmt::format("point `{}` is {}", p.key, p.value.kind_name()), "expected a partial manifest");
        continue;
      }
      partial(p.value, fmt::format("point `{}`", p.key));
      a.points.push_back({canonical_label(p.key), p.key_at, p.value});
    }
  }

  void read_best(Axis& a, const Node& best) {
    Axis::Best out;
    out.at = best.at;
    if (best.kind != Kind::table) return problem(best.at, "`best` is a table", "such as { metric = \"mmd\", seeds = [100] }");
    only_keys(best, "`best`", {"metric", "seeds"});
    if (const Node* metric = best.find("metric")) out.at = metric->at;
    if (!text(best, "metric", out.metric))
      return problem(best.at, "`best` needs a `metric`", "such as { metric = \"mmd\", seeds = [100] }");
    if (const Node* seeds = best.find("seeds"); !seeds || seeds->kind != Kind::array || !seed_list(*seeds, out.seeds))
      return problem(best.at, "`best` needs `seeds` that are not reported", "such as seeds = [100]");
    for (const auto s : out.seeds)
      if (std::find(c_.seeds.sample.begin(), c_.seeds.sample.end(), s) != c_.seeds.sample.end())
        problem(best.at, fmt::format("seed {} is reported: the best point must be chosen on other seeds", s), "such as seeds = [100]");
    a.best = std::move(out);
  }

  /// The value under a dotted key: what an axis changes must have a place in every cell of it.
  static Node under(const std::string& key, const Position& key_at, Node value) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin <= key.size();) {
      const std::size_t end = std::min(key.find('.', begin), key.size());
      parts.push_back(key.substr(begin, end - begin));
      begin = end + 1;
    }
    bool leaf = true;
    for (auto part = parts.rbegin(); part != parts.rend(); ++part, leaf = false) {
      Node table;
      table.at = key_at;
      table.members.push_back({*part, key_at, std::move(value), false, leaf});
      value = std::move(table);
    }
    return value;
  }

  void paper(const Node::Member& m) {
    Paper p;
    p.name = m.key, p.at = m.key_at;
    const std::string owner = fmt::format("paper `{}`", m.key);
    only_keys(m.value, owner, {"cite", "beside", "over", "values"});
    text(m.value, "cite", p.cite);
    if (!text(m.value, "beside", p.beside))
      problem(m.key_at, fmt::format("{} needs `beside`", owner), "the metric that its values stand beside");
    names(m.value, "over", p.over, "axis", axes());
    if (const Node* beside = m.value.find("beside")) p.at = beside->at;
    const Node* values = m.value.find("values");
    if (!values) return problem(m.key_at, fmt::format("{} needs `values`", owner), "the paper's numbers, along `over`");
    p.values = to_json(*values);
    along(*values, p, 0, {});
    c_.papers.push_back(std::move(p));
  }

  /// A table of labels, or an array with a value for each label of that axis, level by level; a number where no further axis applies.
  void along(const Node& node, const Paper& p, std::size_t depth, const std::string& variant) {
    if (is_number(node)) return;
    if (depth == p.over.size())
      return problem(node.at, fmt::format("a value of paper `{}` is {}", p.name, node.kind_name()),
                     "expected a number; nan where the paper has none");
    const auto all = c_.labels(p.over[depth]);
    if (node.kind == Kind::table) {
      for (const auto& v : node.members) {
        const std::string label = canonical_label(v.key);
        if (std::find(all.begin(), all.end(), label) == all.end()) {
          const std::string near = nearest(label, all);
          problem(v.key_at, fmt::format("`{}` has no value `{}`", p.over[depth], label),
                  near.empty() ? fmt::format("values: {}", fmt::join(all, ", ")) : fmt::format("did you mean `{}`?", near));
        } else {
          along(v.value, p, depth + 1, p.over[depth] == "variant" ? label : variant);
        }
      }
    } else if (node.kind == Kind::array) {
      if (node.items.size() != all.size())
        return problem(node.at, fmt::format("paper `{}` has {} values along `{}`", p.name, node.items.size(), p.over[depth]),
                       fmt::format("expected {}: {}", all.size(), fmt::join(all, ", ")));
      for (const auto& item : node.items) along(item, p, depth + 1, variant);
    } else {
      problem(node.at, fmt::format("a value of paper `{}` is {}", p.name, node.kind_name()), "expected numbers along `over`");
    }
  }

  std::vector<std::string> axes() const {
    std::vector<std::string> out;
    if (!c_.variants.empty()) out.push_back("variant");
    for (const auto& a : c_.axes) out.push_back(a.name);
    return out;
  }

  std::vector<std::string> papers() const {
    std::vector<std::string> out;
    for (const auto& p : c_.papers) out.push_back(p.name);
    return out;
  }

  void claim(const Node::Member& m) {
    Claim c;
    c.name = m.key, c.place = m.key_at;
    const std::string owner = fmt::format("claim `{}`", m.key);
    only_keys(m.value, owner, {"says", "holds", "at", "decide", "paper"});
    text(m.value, "says", c.says);
    if (text(m.value, "paper", c.paper) &&
        std::none_of(c_.papers.begin(), c_.papers.end(), [&](const Paper& p) { return p.name == c.paper; }))
      problem(m.value.find("paper")->at, fmt::format("there is no paper `{}`", c.paper),
              suggestion(c.paper, papers(), "papers, by tables [paper.NAME]"));
    if (text(m.value, "decide", c.decide)) {
      const std::vector<std::string> ways{"interval", "median", "every-seed", "value"};
      if (std::find(ways.begin(), ways.end(), c.decide) == ways.end()) {
        const std::string near = nearest(c.decide, ways);
        problem(
            m.value.find("decide")->at, fmt::format("`decide` cannot be \"{}\"", c.decide),
            near.empty() ? fmt::format("expected one of \"{}\"", fmt::join(ways, "\", \"")) : fmt::format("did you mean \"{}\"?", near));
      }
    }
    if (const Node* at = m.value.find("at")) {
      if (at->kind != Kind::table)
        problem(at->at, fmt::format("`at` of {} is {}", owner, at->kind_name()), "expected a table of axes, such as { steps = 10 }");
      for (const auto& where : at->members) claim_at(c, where);
    }
    if (!text(m.value, "holds", c.holds.text))
      return problem(m.key_at, fmt::format("{} needs `holds`", owner), "such as \"mmd[pc] < mmd[base]\"");
    c.holds.at = m.value.find("holds")->at;
    c_.claims.push_back(std::move(c));
  }

  void claim_at(Claim& c, const Node::Member& where) {
    const auto known = axes();
    if (std::find(known.begin(), known.end(), where.key) == known.end()) {
      const std::string near = nearest(where.key, known);
      return problem(where.key_at, fmt::format("there is no axis `{}`", where.key),
                     near.empty() ? fmt::format("axes: {}", fmt::join(known, ", ")) : fmt::format("did you mean `{}`?", near));
    }
    const auto all = c_.labels(where.key);
    const auto add = [&](const Node& item) {
      if (item.kind == Kind::other || item.kind == Kind::table || item.kind == Kind::array)
        return problem(item.at, fmt::format("a label of `{}` is {}", where.key, item.kind_name()), "expected a number or a string");
      const std::string label = label_of(item);
      if (!contains(all, label))
        problem(item.at, fmt::format("`{}` has no value `{}`", where.key, label), suggestion(label, all, "values"));
      c.at[where.key].push_back(label);
    };
    if (where.value.kind != Kind::array) return add(where.value);
    for (const auto& item : where.value.items) add(item);
  }

  void compare(const Node& table) {
    if (table.kind != Kind::table) return problem(table.at, fmt::format("`compare` is {}", table.kind_name()), "expected a table");
    only_keys(table, "`compare`", {"baseline", "primary", "rows", "columns", "cost", "match"});
    CompareOptions& o = c_.compare;
    if (text(table, "baseline", o.baseline.text)) o.baseline.at = table.find("baseline")->at;
    if (text(table, "primary", o.primary)) o.primary_at = table.find("primary")->at;
    if (text(table, "match", o.match) && o.match != "nfe")
      problem(table.find("match")->at, fmt::format("`match` cannot be \"{}\"", o.match), "expected \"nfe\"");
    names(table, "rows", o.rows, "axis", axes());
    names(table, "columns", o.columns, "axis", axes());
    names(table, "cost", o.cost);
    if (const Node* cost = table.find("cost")) {
      for (const auto& item : cost->items) o.cost_at.push_back(item.at);
      if (cost->kind == Kind::string) o.cost_at.push_back(cost->at);
    }
  }

  const Node& root_;
  Findings& findings_;
  Comparison c_;
};

}  // namespace

Comparison read_comparison(const Node& root, const std::string& name, Findings& findings) { return Reader(root, findings).run(name); }

}  // namespace scorelab::manifest
