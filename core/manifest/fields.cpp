#include "manifest/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "manifest/comparison.h"
#include "manifest/text.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

constexpr std::size_t most_runs = 100000;

}  // namespace

void Fields::only_keys(const Node& table, const std::string& owner,
                       const std::vector<std::string>& known) {
  for (const auto& m : table.members) {
    if (std::find(known.begin(), known.end(), m.key) != known.end()) continue;
    const std::string near = nearest(m.key, known);
    problem(m.key_at, fmt::format("{} has no key `{}`", owner, m.key),
            near.empty() ? "unknown key" : fmt::format("did you mean `{}`?", near),
            {fmt::format("keys: {}", fmt::join(known, ", "))});
  }
}

void Fields::partial(const Node& change, const std::string& owner) {
  only_keys(change, owner, experiment_keys);
}

bool Fields::text(const Node& table, const std::string& key, std::string& out) {
  const Node* node = table.find(key);
  if (!node) return false;
  if (node->kind == Kind::string) {
    out = node->string;
    return true;
  }
  problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()), "expected a string");
  return false;
}

bool Fields::strings(const Node& node) {
  return node.kind == Kind::array &&
         std::all_of(node.items.begin(), node.items.end(),
                     [](const Node& i) { return i.kind == Kind::string; });
}

void Fields::names(const Node& table, const std::string& key, std::vector<std::string>& out,
                   const std::string& what, const std::vector<std::string>& known) {
  const Node* node = table.find(key);
  if (!node) return;
  if (node->kind != Kind::string && !strings(*node))
    return problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()),
                   "expected a name or an array of names");
  const auto add = [&](const Node& item) {
    out.push_back(item.string);
    if (what.empty() || std::find(known.begin(), known.end(), item.string) != known.end()) return;
    const std::string near = nearest(item.string, known);
    problem(item.at, fmt::format("there is no {} `{}`", what, item.string),
            near.empty()
                ? fmt::format("{}: {}", what == "axis" ? "axes" : what + "s",
                              known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")))
                : fmt::format("did you mean `{}`?", near));
  };
  if (node->kind == Kind::string) return add(*node);
  for (const auto& item : node->items) add(item);
}

bool Fields::seed_list(const Node& node, std::vector<std::int64_t>& out) {
  out.clear();
  if (node.kind == Kind::integer && node.integer >= 1 &&
      node.integer <= static_cast<std::int64_t>(most_runs)) {
    for (std::int64_t s = 0; s < node.integer; ++s) out.push_back(s);
    return true;
  }
  bool good = node.kind == Kind::array && !node.items.empty() && node.items.size() <= most_runs;
  std::set<std::int64_t> seen;
  for (const auto& item : node.items) {
    good =
        good && item.kind == Kind::integer && item.integer >= 0 && seen.insert(item.integer).second;
    if (good) out.push_back(item.integer);
  }
  if (!good)
    problem(node.at, "`seeds` is neither a count nor a list of seeds",
            fmt::format("expected a number of seeds up to {}, such as 8 for 0 .. 7, or different "
                        "integers from 0, such as [0, 7]",
                        most_runs),
            {"or { train = .., sample = .. }: that many trainings, and so many samplings of each"});
  return good;
}

}  // namespace scorelab::manifest
