#include "manifest/axis.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "manifest/fields.h"
#include "manifest/text.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

class AxisReader : Fields {
 public:
  AxisReader(const Comparison& comparison, Findings& findings) : Fields(findings), c_(comparison) {}

  Axis run(const Node::Member& m) {
    Axis a;
    a.name = m.key;
    a.at = m.key_at;
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
        problem(key->at, "`key` of an axis is the key that it changes",
                "such as \"sampler.steps\"");
      else
        a.key = key->string;
    }
    const Node *values = m.value.find("values"), *points = m.value.find("points");
    if ((values == nullptr) == (points == nullptr))
      problem(m.key_at, fmt::format("{} needs either `values` or `points`", owner),
              "`key` and `values`, or `points` of partial manifests");
    else if (values && !m.value.find("key"))
      problem(m.key_at, fmt::format("{} has `values` but no `key`", owner),
              "such as key = \"sampler.steps\"");
    else if (values && !a.key.empty())
      read_values(a, *values, m.value.find("key")->at);
    else if (points)
      read_points(a, *points, owner);
    if (const Node* best = m.value.find("best")) read_best(a, *best);
    std::set<std::string> seen;
    for (const auto& p : a.points)
      if (!is_printable(p.label))
        problem(p.at, fmt::format("{} has a label with control characters", owner),
                "give it another: values = { label = .. }");
    for (const auto& p : a.points)
      if (!seen.insert(p.label).second)
        problem(p.at, fmt::format("{} has two values called `{}`", owner, p.label),
                "give them labels: values = { label = .. }");
    return a;
  }

 private:
  void read_values(Axis& a, const Node& values, const Position& key_at) {
    const auto add = [&](const std::string& label, Node value) {
      const Position at = value.at;
      if (value.kind == Kind::other)
        return problem(at, fmt::format("a value of sweep `{}` is {}", a.name, value.kind_name()),
                       "no key takes one; write it as a string");
      a.points.push_back({label, at, under(a.key, key_at, std::move(value))});
    };
    const std::string first = a.key.substr(0, a.key.find('.'));
    if (std::find(experiment_keys.begin(), experiment_keys.end(), first) == experiment_keys.end()) {
      const std::string near = nearest(first, experiment_keys);
      problem(key_at, fmt::format("an experiment has no `{}`", first),
              near.empty() ? fmt::format("such as {}", fmt::join(experiment_keys, ", "))
                           : fmt::format("did you mean `{}`?", near));
      return;
    }
    if (values.kind == Kind::array && !values.items.empty()) {
      for (const auto& item : values.items) add(label_of(item), item);
    } else if (values.kind == Kind::table && values.find("from") && values.find("to")) {
      if (values.find("n")) return range(values, add);
      problem(values.at, fmt::format("the range of sweep `{}` has no `n`", a.name),
              "such as { from = 1, to = 2, n = 5 }");
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
      return problem(scale->at, "`scale` of a range is \"linear\" or \"log\"",
                     scale->kind == Kind::string
                         ? suggestion(scale->string, {"linear", "log"}, "expected")
                         : "linear where it is left out");
    if (!is_number(from) || !is_number(to) || n.kind != Kind::integer || n.integer < 2 ||
        n.integer > 10000 || (log && (number_of(from) <= 0 || number_of(to) <= 0)))
      return problem(values.at, "a range goes from a number to a number in n values",
                     "n from 2 to 10000; on a log scale both above 0");
    for (std::int64_t k = 0; k < n.integer; ++k) {
      const double u = static_cast<double>(k) / static_cast<double>(n.integer - 1),
                   a = number_of(from), b = number_of(to);
      double value = log ? a * std::pow(b / a, u) : a + (b - a) * u;
      char buffer[40];
      const auto end =
          std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 12).ptr;
      std::from_chars(buffer, end, value);  // 0.07, not 0.07000000000000001
      if (k + 1 == n.integer) value = b;
      Node node;
      node.at = values.at;
      if (from.kind == Kind::integer && to.kind == Kind::integer && value == std::floor(value) &&
          std::abs(value) < 9e15) {
        node.kind = Kind::integer;
        node.integer = static_cast<std::int64_t>(value);
      } else {
        node.kind = Kind::number;
        node.number = value;
      }
      add(shortest(value), std::move(node));
    }
  }

  void read_points(Axis& a, const Node& points, const std::string& owner) {
    if (points.kind != Kind::table || points.members.empty())
      return problem(points.at, fmt::format("`points` of {} is {}", owner, points.kind_name()),
                     "expected a table of labels, each a partial manifest");
    if (!a.key.empty())
      problem(points.at, fmt::format("{} has a `key` and `points`", owner),
              "points say themselves what they change");
    for (const auto& p : points.members) {
      if (p.value.kind != Kind::table) {
        problem(p.value.at, fmt::format("point `{}` is {}", p.key, p.value.kind_name()),
                "expected a partial manifest");
        continue;
      }
      partial(p.value, fmt::format("point `{}`", p.key));
      a.points.push_back({canonical_label(p.key), p.key_at, p.value});
    }
  }

  void read_best(Axis& a, const Node& best) {
    Axis::Best out;
    out.at = best.at;
    if (best.kind != Kind::table)
      return problem(best.at, "`best` is a table", "such as { metric = \"mmd\", seeds = [100] }");
    only_keys(best, "`best`", {"metric", "seeds"});
    if (const Node* metric = best.find("metric")) out.at = metric->at;
    if (!text(best, "metric", out.metric))
      return problem(best.at, "`best` needs a `metric`",
                     "such as { metric = \"mmd\", seeds = [100] }");
    if (const Node* seeds = best.find("seeds");
        !seeds || seeds->kind != Kind::array || !seed_list(*seeds, out.seeds))
      return problem(best.at, "`best` needs `seeds` that are not reported",
                     "such as seeds = [100]");
    for (const auto s : out.seeds)
      if (std::find(c_.seeds.sample.begin(), c_.seeds.sample.end(), s) != c_.seeds.sample.end())
        problem(best.at,
                fmt::format("seed {} is reported: the best point must be chosen on other seeds", s),
                "such as seeds = [100]");
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

  const Comparison& c_;
};

}  // namespace

Axis read_axis(const Node::Member& table, const Comparison& comparison, Findings& findings) {
  return AxisReader(comparison, findings).run(table);
}

}  // namespace scorelab::manifest
