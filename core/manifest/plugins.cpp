#include "manifest/plugins.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "params/tables.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

void collect(const Node& node, const catalog::Catalog& catalog, std::set<std::string>& seen,
             std::vector<const catalog::Entry*>& out) {
  if (node.kind == Kind::string && seen.insert(node.string).second)
    for (const auto& e : catalog.entries())
      if (e.stamp.name == node.string.substr(node.string.rfind('/') + 1)) out.push_back(&e);
  for (const auto& item : node.items) collect(item, catalog, seen, out);
  for (const auto& m : node.members) collect(m.value, catalog, seen, out);
}

/// Finds the plugin that a manifest names, or says what is wrong.
class Search {
 public:
  Search(const catalog::Catalog& catalog, Findings& findings)
      : catalog_(catalog), findings_(findings) {}

  const catalog::Entry* find(const std::string& what, const std::vector<std::string>& kinds,
                             const Node& node) {
    const Node* name = node.kind == Kind::table ? node.find("plugin") : &node;
    if (!name) {
      without_plugin(what, node);
      return nullptr;
    }
    if (name->kind != Kind::string) {
      if (name == &node)
        problem(node.at, fmt::format("`{}` is {}", what, node.kind_name()),
                "expected a plugin's name, or a table with `plugin`");
      else
        problem(name->at, fmt::format("`plugin` of `{}` is {}", what, name->kind_name()),
                "expected a plugin's name");
      return nullptr;
    }
    const auto entries = catalog_.all(kinds, name->string);
    if (entries.empty()) {
      unknown(kinds, *name);
      return nullptr;
    }
    if (entries.size() > 1 && !name->implied) {
      ambiguous(kinds[0], *name, entries);
      return nullptr;
    }
    return entries.front();
  }

 private:
  void problem(const Position& at, std::string message, std::string hint,
               std::vector<std::string> notes = {}, bool unavailable = false) {
    findings_.problem({at, std::move(message), std::move(hint), std::move(notes), unavailable});
  }

  void without_plugin(const std::string& what, const Node& table) {
    for (const auto& m : table.members)
      if (nearest(m.key, {"plugin"}) == "plugin")
        return problem(m.key_at, fmt::format("`{}` is a table without `plugin`", what),
                       "did you mean `plugin`?");
    problem(table.at, fmt::format("`{}` is a table without `plugin`", what),
            "expected a plugin's name, or a table with `plugin`");
  }

  void ambiguous(const std::string& kind, const Node& name,
                 const std::vector<const catalog::Entry*>& entries) {
    std::vector<std::string> notes;
    for (const auto* e : entries) notes.push_back(fmt::format("file: {}", e->file.string()));
    const auto* other = entries.back();
    problem(name.at,
            fmt::format("{} plugins are a {} called `{}`", entries.size(), kind, name.string),
            fmt::format("say which: \"{}/{}\"{}", other->file.parent_path().filename().string(),
                        other->stamp.name,
                        entries.front()->built_in
                            ? fmt::format(" or \"scorelab/{}\"", entries.front()->stamp.name)
                            : ""),
            std::move(notes));
  }

  void unknown(const std::vector<std::string>& kinds, const Node& name) {
    for (const auto& skipped : catalog_.skipped())
      if (skipped.file.stem() == name.string || skipped.file.stem() == "lib" + name.string)
        return problem(name.at, fmt::format("{} `{}` cannot be used", kinds[0], name.string),
                       "its file " + skipped.reason,
                       {fmt::format("file: {}", skipped.file.string())}, true);
    std::vector<std::string> names, notes;
    for (const auto& kind : kinds)
      for (const auto* e : catalog_.of_kind(kind)) names.push_back(e->stamp.name);
    for (const auto& e : catalog_.entries())
      if (e.stamp.name == name.string)
        return problem(name.at,
                       fmt::format("`{}` is {}", name.string, catalog::with_article(e.stamp.kind)),
                       "expected " + catalog::with_article(kinds[0]),
                       {fmt::format("{}s: {}", kinds[0], fmt::join(names, ", "))});
    const std::string near = nearest(name.string, names);
    notes.push_back(fmt::format("{}s: {}", kinds[0], fmt::join(names, ", ")));
    std::vector<std::string> folders;
    for (const auto& f : catalog_.folders())
      folders.push_back(f == catalog_.folders().back() ? "scorelab's own" : f.string());
    notes.push_back(fmt::format("folders searched: {}", fmt::join(folders, ", ")));
    constexpr std::size_t shown = 5;
    const auto& skipped = catalog_.skipped();
    for (std::size_t i = 0; i < std::min(shown, skipped.size()); ++i)
      notes.push_back(
          fmt::format("skipped: {} {}", skipped[i].file.filename().string(), skipped[i].reason));
    if (skipped.size() > shown)
      notes.push_back(
          fmt::format("skipped: {} more; scorelab doctor lists them", skipped.size() - shown));
    problem(name.at, fmt::format("there is no {} `{}`", kinds[0], name.string),
            near.empty() ? "unknown name" : fmt::format("did you mean `{}`?", near), notes);
  }

  const catalog::Catalog& catalog_;
  Findings& findings_;
};

}  // namespace

std::string example(const std::string& kind, catalog::Catalog& catalog) {
  const auto entries = catalog.of_kind(kind);
  catalog.learn(entries);
  for (const auto* entry : entries) {
    const auto& described = catalog.describe(*entry);
    if (!entry->mismatch.empty() || !described.error.empty()) continue;
    const schema::Schema& schema = described.schema;
    const bool needs = std::any_of(schema.needs.begin(), schema.needs.end(),
                                   [](const schema::Ability& a) { return a.whens.empty(); }) ||
                       std::any_of(schema.params.begin(), schema.params.end(),
                                   [](const schema::Param& p) { return p.required; });
    if (!needs) return entry->stamp.name;
  }
  return entries.empty() ? "NAME" : entries.front()->stamp.name;
}

const catalog::Entry* find_plugin(const std::string& what, const std::vector<std::string>& kinds,
                                  const Node& node, const catalog::Catalog& catalog,
                                  Findings& findings) {
  return Search(catalog, findings).find(what, kinds, node);
}

void learn_schemas(const std::vector<const Node*>& experiments, catalog::Catalog& catalog) {
  std::vector<const catalog::Entry*> named;
  std::set<std::string> seen;
  for (const Node* root : experiments) collect(*root, catalog, seen, named);
  for (const auto& p : schema::of_table<SampleOptions>().params)
    if (const auto* e =
            p.type == "slot" ? catalog.find({p.slot}, p.initial.get<std::string>()) : nullptr)
      named.push_back(e);
  catalog.learn(named);
  for (int depth = 0; depth < 4; ++depth) {  // slots have defaults, whose slots have defaults
    std::vector<const catalog::Entry*> more;
    for (const auto* entry : named) {
      for (const auto& p : catalog.describe(*entry).schema.params) {
        if (p.type != "slot") continue;
        if (const auto* e = catalog.find({p.slot}, p.initial.get<std::string>());
            e && std::find(named.begin(), named.end(), e) == named.end())
          more.push_back(e);
      }
    }
    if (more.empty()) break;
    catalog.learn(more);
    named.insert(named.end(), more.begin(), more.end());
  }
}

std::vector<std::pair<std::filesystem::path, Position>> plugin_folders(const Node& root,
                                                                       const Sources& sources) {
  std::vector<std::pair<std::filesystem::path, Position>> out;
  if (const Node* plugins = root.find("plugins"))
    for (const auto& item : plugins->items)
      if (item.kind == Kind::string)
        out.emplace_back(
            (std::filesystem::path(sources.folder(item.at)) / item.string).lexically_normal(),
            item.at);
  return out;
}

}  // namespace scorelab::manifest
