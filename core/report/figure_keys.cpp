#include "report/figure_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compare/formula.h"

namespace scorelab::report {
namespace {

using manifest::Node;
using manifest::Position;
using manifest::suggestion;
using Kind = Node::Kind;

const std::vector<std::string> kinds{"line",    "bars",  "curve",        "array", "samples",
                                     "density", "score", "trajectories", "grid"};
const std::vector<std::string> keys{"kind",    "says",   "x",      "y",  "color", "panels",
                                    "scale",   "xscale", "yscale", "at", "range", "count",
                                    "columns", "with",   "over",   "t"};
const std::vector<std::string> scales{"linear", "log"},
    both_scales{"linear", "log-log", "log-linear", "linear-log"};

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

/// Checks one figure; whatever is wrong stands at its own key or value.
class Checker {
 public:
  Checker(const Figure& f, const manifest::Comparison& c, const compare::Names& names,
          manifest::Findings& findings)
      : f_(f), c_(c), names_(names), findings_(findings), kind_(word(f, "kind")) {
    if (!c.variants.empty()) axes_.emplace_back("variant");
    for (const auto& a : c.axes) axes_.push_back(a.name);
  }

  void run() {
    for (const auto& m : f_.table.members)
      if (!contains(keys, m.key))
        problem(m.key_at, fmt::format("it has no key `{}`", m.key),
                suggestion(m.key, keys, "keys"));
    for (const char* key : {"kind", "says", "x", "y", "color", "scale", "xscale", "yscale", "over"})
      if (const Node* n = find(key); n && n->kind != Kind::string)
        problem(n->at, is(key, *n), "expected a string");
    if (!contains(kinds, kind_)) {
      if (const Node* n = find("kind"); !n || n->kind == Kind::string)
        problem(n ? n->at : f_.at,
                kind_.empty() ? "it needs a `kind`" : fmt::format("there is no kind `{}`", kind_),
                suggestion(kind_, kinds, "kinds"));
      return;
    }
    one_of("scale", both_scales);
    one_of("xscale", scales);
    one_of("yscale", scales);
    axes_in("panels");
    axes_in("color");
    quantities();
    with_and_over();
    if (const Node* at = find("at")) places(*at);
    if (const Node* range = find("range"); range && !is_range(*range))
      problem(range->at, "`range` is wrong", "such as [[-8.0, 8.0], [-8.0, 8.0]]");
    const Node* t = find("t");
    if (t && (!is_number(*t) || number(*t) <= 0 || kind_ != "score"))
      problem(t->at, "`t` is wrong", "the time of a score field, above 0");
    const Node *count = find("count"), *columns = find("columns");
    if (count && (count->kind != Kind::integer || count->integer < 1))
      problem(count->at, "`count` is wrong", "a whole number above 0");
    if (columns && (columns->kind != Kind::integer || columns->integer < 1 || kind_ != "grid"))
      problem(columns->at, "`columns` is wrong",
              "a whole number above 0: how many images of a grid are in a row");
  }

 private:
  void problem(const Position& at, const std::string& message, const std::string& hint) {
    findings_.problem({at, fmt::format("figure `{}`: {}", f_.name, message), hint, {}});
  }

  const Node* find(const char* key) const { return f_.table.find(key); }
  static std::string is(const std::string& key, const Node& n) {
    return fmt::format("`{}` is {}", key, n.kind_name());
  }
  static bool is_number(const Node& n) { return n.kind == Kind::integer || n.kind == Kind::number; }
  static double number(const Node& n) {
    return n.kind == Kind::integer ? static_cast<double>(n.integer) : n.number;
  }

  static bool is_range(const Node& n) {
    const auto two = [](const Node& list) {
      return list.kind == Kind::array && list.items.size() == 2;
    };
    return two(n) && std::all_of(n.items.begin(), n.items.end(), [&](const Node& pair) {
             return two(pair) && is_number(pair.items[0]) && is_number(pair.items[1]) &&
                    number(pair.items[0]) < number(pair.items[1]);
           });
  }

  /// A string, or an array of them: each with its place.
  template <class F>
  void each(const char* key, F&& f) {
    const Node* n = find(key);
    if (!n) return;
    const auto one = [&](const Node& item) {
      if (item.kind == Kind::string)
        f(item);
      else
        problem(item.at, is(key, item), "expected a name or an array of names");
    };
    if (n->kind != Kind::array) return one(*n);
    for (const auto& item : n->items) one(item);
  }

  void one_of(const char* key, const std::vector<std::string>& allowed) {
    if (const Node* n = find(key); n && n->kind == Kind::string && !contains(allowed, n->string))
      problem(n->at, fmt::format("`{}` cannot be `{}`", key, n->string),
              suggestion(n->string, allowed, "expected"));
  }

  void axes_in(const char* key) {
    each(key, [&](const Node& item) {
      if (!contains(axes_, item.string))
        problem(item.at, fmt::format("`{}` names no axis `{}`", key, item.string),
                suggestion(item.string, axes_, "axes"));
    });
  }

  void quantities() {
    const auto all = names_.all();
    const auto known = [&](const char* key, bool axis_too) {
      const std::string name = word(f_, key);
      if (names_.knows(name) || (axis_too && contains(axes_, name))) return;
      const Node* n = find(key);
      if (n && n->kind != Kind::string) return;
      auto others = all;
      if (axis_too) others.insert(others.begin(), axes_.begin(), axes_.end());
      problem(n ? n->at : f_.at,
              name.empty() ? fmt::format("it needs `{}`", key)
                           : fmt::format("`{}`: nothing is called `{}`", key, name),
              suggestion(name, others, axis_too ? "axes and quantities" : "quantities"));
    };
    if (kind_ == "line" || kind_ == "bars" || kind_ == "array") known("y", false);
    if (kind_ == "line") known("x", true);
  }

  void with_and_over() {
    each("with", [&](const Node& item) {
      if (!(item.string == "data" && (kind_ == "samples" || kind_ == "density")) &&
          !(item.string == "exact" && kind_ == "trajectories"))
        problem(item.at, fmt::format("`with` cannot be `{}` here", item.string),
                "samples and density have with = [\"data\"], trajectories with = [\"exact\"]");
    });
    if (const Node* over = find("over"); over && over->kind == Kind::string &&
                                         (over->string != "density" || kind_ != "trajectories"))
      problem(over->at, fmt::format("`over` cannot be `{}` here", over->string),
              "trajectories have over = \"density\"");
  }

  void places(const Node& at) {
    if (at.kind != Kind::table)
      return problem(at.at, is("at", at), "expected a table of axes, such as { steps = 10 }");
    for (const auto& m : at.members) {
      if (!contains(axes_, m.key)) {
        problem(m.key_at, fmt::format("there is no axis `{}`", m.key),
                suggestion(m.key, axes_, "axes"));
        continue;
      }
      const auto labels = c_.labels(m.key);
      const auto one = [&](const Node& item) {
        if (item.kind == Kind::array || item.kind == Kind::table || item.kind == Kind::other)
          return problem(item.at, fmt::format("a label of `{}` is {}", m.key, item.kind_name()),
                         "expected a number or a string");
        if (const std::string label = manifest::label_of(item); !contains(labels, label))
          problem(item.at, fmt::format("`{}` has no value `{}`", m.key, label),
                  suggestion(label, labels, "values"));
      };
      if (m.value.kind != Kind::array) {
        one(m.value);
        continue;
      }
      for (const auto& item : m.value.items) one(item);
    }
  }

  const Figure& f_;
  const manifest::Comparison& c_;
  const compare::Names& names_;
  manifest::Findings& findings_;
  std::string kind_;
  std::vector<std::string> axes_;
};

}  // namespace

std::string word(const Figure& f, const char* key, const std::string& otherwise) {
  return f.options.contains(key) && f.options[key].is_string() ? f.options[key].get<std::string>()
                                                               : otherwise;
}

std::vector<std::string> words(const Figure& f, const char* key) {
  std::vector<std::string> out;
  if (!f.options.contains(key)) return out;
  if (f.options[key].is_string()) return {f.options[key].get<std::string>()};
  for (const auto& item : f.options[key])
    if (item.is_string()) out.push_back(item);
  return out;
}

void check_figures(const manifest::Comparison& c, const std::vector<std::string>& metrics,
                   manifest::Findings& findings) {
  const compare::Names names{&c, metrics};
  for (const auto& f : c.figures) Checker(f, c, names, findings).run();
}

double number_of_label(const std::string& label) {
  try {
    std::size_t end = 0;
    const double v = std::stod(label, &end);
    return end == label.size() ? v : std::numeric_limits<double>::quiet_NaN();
  } catch (const std::exception&) {
    return std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace scorelab::report
