#include "comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "manifest/axis.h"
#include "manifest/fields.h"
#include "manifest/text.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

const std::vector<std::string> comparison_keys{"name",  "question", "seeds",  "plugins", "variants",
                                               "sweep", "paper",    "claims", "figures", "compare"};

}  // namespace

bool plain_name(const std::string& text) {
  return !text.empty() && text[0] != '.' && text.find_first_of("/[],= \t\"") == text.npos &&
         text.size() <= 100 && is_printable(text);
}

namespace {

/// What results put beside the folders of variants, and beside those of experiments.
const std::vector<std::string> files_of_experiment{"report.html", "comparison.csv", "comparison.h5",
                                                   "figures", "experiment.json"};
const std::vector<std::string> files_of_results{"index.html", "index.md"};

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

class Reader : Fields {
 public:
  Reader(const Node& root, Findings& findings) : Fields(findings), root_(root) {}

  Comparison run(const std::string& name) {
    known_keys();
    c_.name = name;
    text(root_, "name", c_.name);
    text(root_, "question", c_.question);
    if (c_.name.empty() || c_.name.size() > 200 || c_.name[0] == '.' ||
        c_.name.find('/') != std::string::npos || !is_printable(c_.name) ||
        contains(files_of_results, c_.name))
      problem(root_.find("name") ? root_.find("name")->at : root_.at,
              "`name` is the name of a folder under results",
              fmt::format("no slash, no dot in front, no control character, not empty, at most 200 "
                          "bytes, and not {}",
                          fmt::join(files_of_results, " or ")));
    if (const Node* seeds = root_.find("seeds")) read_seeds(*seeds);
    if (const Node* plugins = root_.find("plugins"); plugins && !strings(*plugins))
      problem(plugins->at, "`plugins` lists folders",
              "expected an array of strings, such as [\"build\"]");
    each("variants", [&](const Node::Member& m) { variant(m); });
    each("sweep", [&](const Node::Member& m) { c_.axes.push_back(read_axis(m, c_, findings_)); });
    axes_of_one_key();
    each("paper", [&](const Node::Member& m) { paper(m); });
    each("claims", [&](const Node::Member& m) { claim(m); });
    each("figures", [&](const Node::Member& m) {
      c_.figures.push_back({m.key, to_json(m.value), m.key_at, m.value});
    });
    if (const Node* table = root_.find("compare")) compare(*table);
    return std::move(c_);
  }

 private:
  void known_keys() {
    auto known = comparison_keys;
    known.insert(known.begin() + 4, experiment_keys.begin(), experiment_keys.end());
    for (const auto& m : root_.members) {
      if (std::find(known.begin(), known.end(), m.key) != known.end()) continue;
      const std::string near = nearest(m.key, known);
      findings_.misspelt.insert(near);
      problem(m.key_at, fmt::format("a manifest has no key `{}`", m.key),
              near.empty() ? "unknown key" : fmt::format("did you mean `{}`?", near),
              {fmt::format("keys: {}", fmt::join(known, ", "))});
    }
  }

  template <class F>
  void each(const std::string& key, F&& f) {
    const Node* table = root_.find(key);
    if (!table) return;
    if (table->kind != Kind::table)
      return problem(table->at, fmt::format("`{}` is {}", key, table->kind_name()),
                     "expected a table of names");
    for (const auto& m : table->members) {
      if (!plain_name(m.key))
        problem(m.key_at, fmt::format("`{}` cannot be a name in `{}`", m.key, key),
                "no blank, quote, comma, slash, bracket or `=`, no dot in front");
      else if (m.value.kind != Kind::table)
        problem(m.value.at, fmt::format("`{}.{}` is {}", key, m.key, m.value.kind_name()),
                m.value.kind == Kind::boolean
                    ? "`false` removes what `extends` brought, and it brought no such name"
                    : "expected a table");
      else
        f(m);
    }
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

  void variant(const Node::Member& m) {
    if (contains(files_of_experiment, m.key))
      problem(m.key_at, fmt::format("a variant cannot be called `{}`", m.key),
              "results have a file of that name; choose another");
    partial(m.value, fmt::format("variant `{}`", m.key));
    c_.variants.push_back({m.key, m.key_at, m.value});
  }

  /// Of two axes that change one key in one cell the later would win, and the earlier one's labels
  /// would be wrong.
  void axes_of_one_key() {
    const auto variants = c_.variants.empty() ? std::vector<Variant>{{}} : c_.variants;
    for (std::size_t i = 0; i < c_.axes.size(); ++i)
      for (std::size_t k = 0; k < i; ++k) {
        const Axis &a = c_.axes[k], &b = c_.axes[i];
        const bool same = !b.key.empty() && (a.key == b.key || a.key.rfind(b.key + ".", 0) == 0);
        if (same && std::any_of(variants.begin(), variants.end(), [&](const Variant& v) {
              return a.applies_to(v.name) && b.applies_to(v.name);
            }))
          problem(b.at,
                  fmt::format("sweep `{}` changes what sweep `{}` changes: `{}`", b.name, a.name,
                              a.key),
                  a.key == b.key
                      ? "one axis a key; `only` and `except` give variants axes of their own"
                      : fmt::format("write sweep `{}` first", b.name));
      }
  }

  void paper(const Node::Member& m) {
    Paper p;
    p.name = m.key;
    p.at = m.key_at;
    const std::string owner = fmt::format("paper `{}`", m.key);
    only_keys(m.value, owner, {"cite", "beside", "over", "values"});
    text(m.value, "cite", p.cite);
    if (!text(m.value, "beside", p.beside))
      problem(m.key_at, fmt::format("{} needs `beside`", owner),
              "the metric that its values stand beside");
    names(m.value, "over", p.over, "axis", axes());
    if (const Node* beside = m.value.find("beside")) p.at = beside->at;
    const Node* values = m.value.find("values");
    if (!values)
      return problem(m.key_at, fmt::format("{} needs `values`", owner),
                     "the paper's numbers, along `over`");
    p.values = to_json(*values);
    along(*values, p, 0, {});
    c_.papers.push_back(std::move(p));
  }

  /// A table of labels, or an array with a value for each label of that axis, level by level; a
  /// number where no further axis applies.
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
                  near.empty() ? fmt::format("values: {}", fmt::join(all, ", "))
                               : fmt::format("did you mean `{}`?", near));
        } else {
          along(v.value, p, depth + 1, p.over[depth] == "variant" ? label : variant);
        }
      }
    } else if (node.kind == Kind::array) {
      if (node.items.size() != all.size())
        return problem(node.at,
                       fmt::format("paper `{}` has {} values along `{}`", p.name, node.items.size(),
                                   p.over[depth]),
                       fmt::format("expected {}: {}", all.size(), fmt::join(all, ", ")));
      for (const auto& item : node.items) along(item, p, depth + 1, variant);
    } else {
      problem(node.at, fmt::format("a value of paper `{}` is {}", p.name, node.kind_name()),
              "expected numbers along `over`");
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
    c.name = m.key;
    c.place = m.key_at;
    const std::string owner = fmt::format("claim `{}`", m.key);
    only_keys(m.value, owner, {"says", "holds", "at", "decide", "paper"});
    text(m.value, "says", c.says);
    if (text(m.value, "paper", c.paper) &&
        std::none_of(c_.papers.begin(), c_.papers.end(),
                     [&](const Paper& p) { return p.name == c.paper; }))
      problem(m.value.find("paper")->at, fmt::format("there is no paper `{}`", c.paper),
              suggestion(c.paper, papers(), "papers, by tables [paper.NAME]"));
    if (text(m.value, "decide", c.decide)) {
      const std::vector<std::string> ways{"interval", "median", "every-seed", "value"};
      if (std::find(ways.begin(), ways.end(), c.decide) == ways.end()) {
        const std::string near = nearest(c.decide, ways);
        problem(m.value.find("decide")->at, fmt::format("`decide` cannot be \"{}\"", c.decide),
                near.empty() ? fmt::format("expected one of \"{}\"", fmt::join(ways, "\", \""))
                             : fmt::format("did you mean \"{}\"?", near));
      }
    }
    if (const Node* at = m.value.find("at")) {
      if (at->kind != Kind::table)
        problem(at->at, fmt::format("`at` of {} is {}", owner, at->kind_name()),
                "expected a table of axes, such as { steps = 10 }");
      for (const auto& where : at->members) claim_at(c, where);
    }
    if (!text(m.value, "holds", c.holds.text))
      return problem(m.key_at, fmt::format("{} needs `holds`", owner),
                     "such as \"mmd[pc] < mmd[base]\"");
    c.holds.at = m.value.find("holds")->at;
    c_.claims.push_back(std::move(c));
  }

  void claim_at(Claim& c, const Node::Member& where) {
    const auto known = axes();
    if (std::find(known.begin(), known.end(), where.key) == known.end()) {
      const std::string near = nearest(where.key, known);
      return problem(where.key_at, fmt::format("there is no axis `{}`", where.key),
                     near.empty() ? fmt::format("axes: {}", fmt::join(known, ", "))
                                  : fmt::format("did you mean `{}`?", near));
    }
    const auto all = c_.labels(where.key);
    const auto add = [&](const Node& item) {
      if (item.kind == Kind::other || item.kind == Kind::table || item.kind == Kind::array)
        return problem(item.at, fmt::format("a label of `{}` is {}", where.key, item.kind_name()),
                       "expected a number or a string");
      const std::string label = label_of(item);
      if (!contains(all, label))
        problem(item.at, fmt::format("`{}` has no value `{}`", where.key, label),
                suggestion(label, all, "values"));
      c.at[where.key].push_back(label);
    };
    if (where.value.kind != Kind::array) return add(where.value);
    for (const auto& item : where.value.items) add(item);
  }

  void compare(const Node& table) {
    if (table.kind != Kind::table)
      return problem(table.at, fmt::format("`compare` is {}", table.kind_name()),
                     "expected a table");
    only_keys(table, "`compare`", {"baseline", "primary", "rows", "columns", "cost", "match"});
    CompareOptions& o = c_.compare;
    if (text(table, "baseline", o.baseline.text)) o.baseline.at = table.find("baseline")->at;
    if (text(table, "primary", o.primary)) o.primary_at = table.find("primary")->at;
    if (text(table, "match", o.match) && o.match != "nfe")
      problem(table.find("match")->at, fmt::format("`match` cannot be \"{}\"", o.match),
              "expected \"nfe\"");
    names(table, "rows", o.rows, "axis", axes());
    names(table, "columns", o.columns, "axis", axes());
    names(table, "cost", o.cost);
    if (const Node* cost = table.find("cost")) {
      for (const auto& item : cost->items) o.cost_at.push_back(item.at);
      if (cost->kind == Kind::string) o.cost_at.push_back(cost->at);
    }
  }

  const Node& root_;
  Comparison c_;
};

}  // namespace

Comparison read_comparison(const Node& root, const std::string& name, Findings& findings) {
  return Reader(root, findings).run(name);
}

}  // namespace scorelab::manifest
