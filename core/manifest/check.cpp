#include "check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "manifest/values.h"
#include "params/tables.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

template <class Options>
schema::Schema table_schema() {
  Options options;
  Params p;
  options.params(p);
  return schema::of(p);
}

/// Which part of an experiment gives a capability.
const std::map<std::string, std::string> giver_of{{"levels", "scheduler"},    {"path", "scheduler"},       {"noise", "scheduler"},
                                                  {"one-level", "scheduler"}, {"gaussian-law", "dataset"}, {"mixture-law", "dataset"},
                                                  {"density", "dataset"},     {"bounds", "dataset"},       {"images", "dataset"},
                                                  {"trains", "network"},      {"exact", "network"},        {"second-order", "network"}};

struct Part {
  Json component;
  Position at;
  schema::Schema schema;
  std::string role;
};

void collect(const Node& node, const catalog::Catalog& catalog, std::set<std::string>& seen, std::vector<const catalog::Entry*>& out) {
  if (node.kind == Kind::string && seen.insert(node.string).second)
    for (const auto& e : catalog.entries())
      if (e.stamp.name == node.string) out.push_back(&e);
  for (const auto& item : node.items) collect(item, catalog, seen, out);
  for (const auto& m : node.members) collect(m.value, catalog, seen, out);
}

class Checker {
 public:
  Checker(const Node& root, catalog::Catalog& catalog, Findings& findings)
      : root_(root), catalog_(catalog), findings_(findings), reader_(findings) {}

  Checked run() {
    Experiment& e = out_.experiment;
    e.scheduler = required("scheduler");
    e.dataset = required("dataset");
    e.network = required("network");
    if (root_.find("objective")) e.objective = component("objective", {"objective"}, *root_.find("objective"), "objective");
    if (root_.find("sampler")) e.sampler = component("sampler", {"sampler", "step"}, *root_.find("sampler"), "sampler");
    labelled("guides", "guide", [&](const std::string& label, Json c) {
      c["label"] = label;
      e.guides.push_back(std::move(c));
    });
    labelled("metrics", "metric", [&](const std::string& label, Json c) { e.metrics[label] = std::move(c); });
    e.output = table<OutputOptions>("output");
    e.train = table<TrainOptions>("train");
    e.sample = table<SampleOptions>("sample");
    e.run = table<RunOptions>("run");
    parts_that_go_together();
    out_.left_out = reader_.left_out();
    return std::move(out_);
  }

 private:
  void problem(const Position& at, std::string message, std::string hint, std::vector<std::string> notes = {}, bool unavailable = false) {
    findings_.problem({at, std::move(message), std::move(hint), std::move(notes), unavailable});
  }

  /// A key of the top level that has no effect here, though it may in another cell.
  void no_effect(const std::string& key, const std::string& message, const std::string& hint) {
    findings_.unused(key_at(key), key, {key_at(key), message, hint, {}});
  }

  Position key_at(const std::string& key) const {
    for (const auto& m : root_.members)
      if (m.key == key) return m.key_at;
    return root_.at;
  }

  Json required(const std::string& key) {
    const Node* node = root_.find(key);
    if (node) return component(key, {key}, *node, key);
    if (findings_.misspelt.contains(key)) return {};
    Position start = root_.at;
    start.length = 1;
    problem(start, fmt::format("the manifest names no {}", key),
            fmt::format("such as {} = \"{}\"; scorelab list {}", key, example(key), key));
    return {};
  }

  std::string example(const std::string& kind) const {
    const auto entries = catalog_.of_kind(kind);
    return entries.empty() ? "NAME" : entries.front()->stamp.name;
  }

  /// A name or a table with `plugin`, read against the plugin's schema. Null where it is "none" or wrong.
  Json component(const std::string& what, const std::vector<std::string>& kinds, const Node& node, const std::string& role) {
    const Node* name = node.kind == Kind::table ? node.find("plugin") : &node;
    if (!name) return without_plugin(what, node), Json();
    if (name->kind != Kind::string) {
      if (name == &node)
        problem(node.at, fmt::format("`{}` is {}", what, node.kind_name()), "expected a plugin's name, or a table with `plugin`");
      else
        problem(name->at, fmt::format("`plugin` of `{}` is {}", what, name->kind_name()), "expected a plugin's name");
      return {};
    }
    const std::size_t problems_before = findings_.count();
    const catalog::Entry* entry = catalog_.find(kinds, name->string);
    if (!entry) return unknown(kinds, *name), Json();
    const std::string owner = fmt::format("{} `{}`", kinds[0], entry->stamp.name);
    const auto& described = catalog_.describe(*entry);
    if (!described.error.empty()) {
      problem(name->at, fmt::format("{} cannot be used", owner), "its library " + described.error.substr(0, described.error.find('\n')),
              {fmt::format("file: {}", entry->file.string())}, true);
      return {};
    }
    const schema::Schema& s = role == "sampler" && described.as_sampler ? *described.as_sampler : described.schema;
    auto read = reader_.read(node.kind == Kind::table ? &node : nullptr, s, owner,
                             fmt::format("scorelab list {}/{}", entry->stamp.kind, entry->stamp.name), slot_reader(), true);
    const std::string id = entry->built_in ? fmt::format("{}@{}", entry->stamp.name, entry->stamp.version)
                                           : fmt::format("{}#{}", entry->stamp.name, entry->stamp.source);
    Json out{{"plugin", entry->stamp.name},  {"kind", entry->stamp.kind}, {"version", entry->stamp.version},  {"id", id},
             {"file", entry->file.string()}, {"sha256", entry->sha256},   {"params", std::move(read.values)}, {"key", std::move(read.key)}};
    parts_.push_back({out, name->at, s, role});
    if (findings_.count() == problems_before) out_.doubts.push_back({out, name->at});
    return out;
  }

  TableReader::ReadSlot slot_reader() {
    return [this](const Node& inner, const std::string& kind, const std::string& key) -> Json {
      const Node* plugin = inner.kind == Kind::table ? inner.find("plugin") : &inner;
      if (!plugin || plugin->kind != Kind::string || plugin->string != "none") return component(key, {kind}, inner, kind);
      for (const auto& m : inner.members) {
        if (m.key == "plugin") continue;
        const Diagnostic d{m.key_at, fmt::format("`{}` has no effect in `{}`, which is \"none\"", m.key, key), "the slot is empty", {}};
        m.must_fit ? findings_.problem(d) : findings_.unused(m.key_at, m.key, d);
      }
      return {};
    };
  }

  void without_plugin(const std::string& what, const Node& table) {
    for (const auto& m : table.members)
      if (nearest(m.key, {"plugin"}) == "plugin")
        return problem(m.key_at, fmt::format("`{}` is a table without `plugin`", what), "did you mean `plugin`?");
    problem(table.at, fmt::format("`{}` is a table without `plugin`", what), "expected a plugin's name, or a table with `plugin`");
  }

  void unknown(const std::vector<std::string>& kinds, const Node& name) {
    for (const auto& skipped : catalog_.skipped())
      if (skipped.file.stem() == name.string || skipped.file.stem() == "lib" + name.string)
        return problem(name.at, fmt::format("{} `{}` cannot be used", kinds[0], name.string), "its file " + skipped.reason,
                       {fmt::format("file: {}", skipped.file.string())}, true);
    std::vector<std::string> names, notes;
    for (const auto& kind : kinds)
      for (const auto* e : catalog_.of_kind(kind)) names.push_back(e->stamp.name);
    for (const auto& e : catalog_.entries())
      if (e.stamp.name == name.string)
        return problem(name.at, fmt::format("`{}` is {}", name.string, catalog::with_article(e.stamp.kind)),
                       "expected " + catalog::with_article(kinds[0]), {fmt::format("{}s: {}", kinds[0], fmt::join(names, ", "))});
    const std::string near = nearest(name.string, names);
    notes.push_back(fmt::format("{}s: {}", kinds[0], fmt::join(names, ", ")));
    std::vector<std::string> folders;
    for (const auto& f : catalog_.folders()) folders.push_back(f == catalog_.folders().back() ? "scorelab's own" : f.string());
    notes.push_back(fmt::format("folders searched: {}", fmt::join(folders, ", ")));
    for (const auto& skipped : catalog_.skipped())
      notes.push_back(fmt::format("skipped: {} {}", skipped.file.filename().string(), skipped.reason));
    problem(name.at, fmt::format("there is no {} `{}`", kinds[0], name.string),
            near.empty() ? "unknown name" : fmt::format("did you mean `{}`?", near), notes);
  }

  /// Components under labels: a list of names, or a table of labels. `f` keeps each.
  void labelled(const std::string& key, const std::string& kind, const std::function<void(const std::string& label, Json)>& f) {
    const Node* node = root_.find(key);
    if (!node) return;
    std::set<std::string> seen;
    const auto add = [&](const std::string& label, const std::string& what, const Position& at, const Node& value) {
      if (!seen.insert(label).second)
        return problem(at, fmt::format("the {} `{}` is named twice", kind, label),
                       fmt::format("give one a label: {} = {{ label = .. }}", key));
      if (Json c = component(what, {kind}, value, kind); !c.is_null()) f(label, std::move(c));
    };
    if (node->kind == Kind::array) {
      for (std::size_t i = 0; i < node->items.size(); ++i) {
        const Node& item = node->items[i];
        const Node* name = item.kind == Kind::table ? item.find("plugin") : &item;
        add(name && name->kind == Kind::string ? name->string : std::to_string(i), fmt::format("{}[{}]", key, i), item.at, item);
      }
    } else if (node->kind == Kind::table) {
      for (const auto& m : node->members) {
        if (m.key.empty() || m.key[0] == '.' || m.key.find('/') != std::string::npos)
          problem(m.key_at, fmt::format("a {}'s label is a plain name", kind), "no slash, no dot in front, not empty");
        else
          add(m.key, key + "." + m.key, m.value.at, m.value);
      }
    } else {
      problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()),
              fmt::format("expected names, such as [\"{}\"], or a table of labels", example(kind)));
    }
  }

  template <class Options>
  Json table(const std::string& key) {
    const Node* node = root_.find(key);
    if (node && node->kind != Kind::table) {
      problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()), "expected a table");
      node = nullptr;
    }
    static const schema::Schema s = table_schema<Options>();
    auto read = reader_.read(node, s, fmt::format("the table `{}`", key), fmt::format("scorelab list {}", key), slot_reader(), false);
    out_.experiment.keys[key] = std::move(read.key);
    return std::move(read.values);
  }

  bool gives(const std::string& provider, const std::string& capability) const {
    for (const auto& part : parts_) {
      if (part.role != provider) continue;
      for (const auto& g : part.schema.gives)
        if (g.name == capability && schema::holds(g.whens, part.component["params"])) return true;
    }
    return false;
  }
  const Part* part(const std::string& role) const {
    for (const auto& p : parts_)
      if (p.role == role) return &p;
    return nullptr;
  }

  void parts_that_go_together() {
    for (const auto& p : parts_) {
      for (const auto& need : p.schema.needs) {
        if ((!need.role.empty() && need.role != p.role) || !schema::holds(need.whens, p.component["params"])) continue;
        const auto giver = giver_of.find(need.name);
        const Part* provider = giver == giver_of.end() ? nullptr : part(giver->second);
        if (!provider || gives(giver->second, need.name)) continue;
        problem(p.at,
                fmt::format("{} `{}` does not go with {} `{}`", p.role, schema::text(p.component), giver->second,
                            schema::text(provider->component)),
                need.reason, {fmt::format("it needs a {} with `{}`", giver->second, need.name)});
      }
    }
    if (const Node* sample = root_.find("sample"); const Node* initial = sample ? sample->find("initial") : nullptr)
      if (initial->kind == Kind::string && initial->string == "none")
        problem(initial->at, "`initial` cannot be \"none\"", "a sampler starts somewhere, such as at the \"prior\"");
    if (out_.experiment.sample["moments"] == "exact") {
      for (const auto& p : parts_) {
        if (p.role != "metric" && p.role != "initial" && p.role != "guide") continue;
        const auto& given = p.schema.gives;
        if (std::none_of(given.begin(), given.end(), [](const auto& g) { return g.name == "exact-moments"; }))
          problem(p.at, fmt::format("{} `{}` does not go with sample.moments = \"exact\"", p.role, schema::text(p.component)),
                  p.role == "metric"  ? "it measures samples, and there are none"
                  : p.role == "guide" ? "it is not affine, or does not say so"
                                      : "it states no moments");
      }
      if (part("dataset") && !gives("dataset", "gaussian-law"))
        problem(part("dataset")->at,
                fmt::format("dataset `{}` does not go with sample.moments = \"exact\"", schema::text(part("dataset")->component)),
                "moments are propagated exactly for a Gaussian");
    }
    const Part* network = part("network");
    if (!network) return;
    const bool trains = gives("network", "trains");
    if (trains && !root_.find("objective") && !findings_.misspelt.contains("objective"))
      problem(network->at, fmt::format("network `{}` is trained, but the manifest names no objective", schema::text(network->component)),
              "such as objective = \"denoising-score-matching\"");
    if (trains) {
      if (const Node* sample = root_.find("sample"))
        if (const Node* ema = sample->find("ema")) findings_.used(ema->at, "ema of a network");
      for (const char* key : {"objective", "train", "output"}) findings_.used(key_at(key), key);
    } else {
      for (const char* key : {"objective", "train", "output"})
        if (root_.find(key))
          no_effect(key, fmt::format("`{}` has no effect with network `{}`", key, schema::text(network->component)),
                    "it is exact: nothing is trained; remove this");
      if (const Node* sample = root_.find("sample"))
        for (const auto& m : sample->members)
          if (m.key == "ema")  // by its value's place: its key has a use as far as the table is concerned
            findings_.unused(m.value.at, "ema of a network",
                             {m.key_at,
                              fmt::format("`ema` has no effect with network `{}`", schema::text(network->component)),
                              "it is exact and has no weights",
                              {}});
      if (out_.experiment.sample["step"] > 0)
        problem(root_.find("sample")->find("step")->at, "`step` names a checkpoint, but nothing is trained", "remove it");
      out_.experiment.objective = out_.experiment.train = out_.experiment.output = nullptr;
      out_.experiment.sample["ema"] = 0.0;
    }
    if (trains && out_.experiment.sample["step"] > out_.experiment.train["steps"])
      problem(root_.find("sample")->find("step")->at,
              fmt::format("`step` is beyond the training's {} steps", out_.experiment.train["steps"].dump()), "0 is the last one");
    if (root_.find("sampler"))
      for (const char* key : {"guides", "sample", "metrics"}) findings_.used(key_at(key), key);
    if (!root_.find("sampler") && !findings_.misspelt.contains("sampler")) {
      if (root_.find("guides"))
        no_effect("guides", "`guides` has no effect: the manifest names no sampler", "such as sampler = \"ancestral\"");
      if (root_.find("sample"))
        no_effect("sample", "`sample` has no effect: the manifest names no sampler", "such as sampler = \"ancestral\"");
      if (root_.find("metrics"))
        no_effect("metrics", "`metrics` needs samples, but the manifest names no sampler", "such as sampler = \"ancestral\"");
      if (!trains && !root_.find("guides") && !root_.find("sample") && !root_.find("metrics"))
        problem(network->at, "there is nothing to do: nothing is trained, and the manifest names no sampler",
                "such as sampler = \"ancestral\"");
    }
    if (const Json& threads = out_.experiment.run["threads"];
        threads.is_number() && threads.get<double>() != std::floor(threads.get<double>()))
      problem(root_.find("run")->find("threads")->at, "`threads` is no whole number", "expected an integer or \"auto\"");
    const Json& device = out_.experiment.run["device"];
    const std::string d = device.is_string() ? device.get<std::string>() : "";
    const bool indexed = d.rfind("cuda:", 0) == 0 && d.size() > 5 && d.find_first_not_of("0123456789", 5) == std::string::npos;
    if (d != "auto" && d != "cpu" && d != "cuda" && !indexed)
      problem(root_.find("run")->find("device")->at, fmt::format("`device` cannot be \"{}\"", d), "expected auto, cpu, cuda or cuda:i");
  }

  const Node& root_;
  catalog::Catalog& catalog_;
  Findings& findings_;
  Checked out_;
  TableReader reader_;
  std::vector<Part> parts_;
};

}  // namespace

void learn_schemas(const std::vector<const Node*>& experiments, catalog::Catalog& catalog) {
  std::vector<const catalog::Entry*> named;
  std::set<std::string> seen;
  for (const Node* root : experiments) collect(*root, catalog, seen, named);
  for (const auto& p : table_schema<SampleOptions>().params)
    if (const auto* e = p.type == "slot" ? catalog.find({p.slot}, p.initial.get<std::string>()) : nullptr) named.push_back(e);
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

Checked check(const Node& root, catalog::Catalog& catalog, Findings& findings) { return Checker(root, catalog, findings).run(); }

std::vector<std::filesystem::path> plugin_folders(const Node& root, const Sources& sources) {
  std::vector<std::filesystem::path> out;
  if (const Node* plugins = root.find("plugins"))
    for (const auto& item : plugins->items)
      if (item.kind == Kind::string) out.push_back((std::filesystem::path(sources.folder(item.at)) / item.string).lexically_normal());
  return out;
}

}  // namespace scorelab::manifest
