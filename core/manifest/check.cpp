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

class Checker {
 public:
  Checker(const Node& root, catalog::Catalog& catalog, const std::filesystem::path& folder)
      : root_(root), catalog_(catalog), reader_(out_.problems, folder) {}

  Checked run(const std::string& name) {
    Experiment& e = experiment_;
    e.name = name;
    top_level();
    learn_schemas();
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
    if (out_.problems.empty()) out_.experiment = std::move(experiment_);
    return std::move(out_);
  }

 private:
  void problem(const Position& at, std::string message, std::string hint, std::vector<std::string> notes = {}, bool unavailable = false) {
    out_.problems.push_back({at, std::move(message), std::move(hint), std::move(notes), unavailable});
  }

  Position key_at(const std::string& key) const {
    for (const auto& m : root_.members)
      if (m.key == key) return m.key_at;
    return root_.at;
  }

  void top_level() {
    static const std::vector<std::string> known{"name",      "question", "seeds",   "plugins", "dataset", "scheduler", "network", "output",
                                                "objective", "train",    "sampler", "guides",  "sample",  "metrics",   "run"};
    static const std::vector<std::string> later{"extends", "variants", "sweep", "models", "paper", "claims", "figures", "compare"};
    for (const auto& m : root_.members) {
      if (std::find(known.begin(), known.end(), m.key) != known.end()) continue;
      if (std::find(later.begin(), later.end(), m.key) != later.end()) {
        problem(m.key_at, fmt::format("`{}` belongs to comparisons, which this version does not run", m.key),
                "remove it, or run one experiment a manifest");
        continue;
      }
      const std::string near = nearest(m.key, known);
      misspelt_.insert(near);
      problem(m.key_at, fmt::format("a manifest has no key `{}`", m.key),
              near.empty() ? "unknown key" : fmt::format("did you mean `{}`?", near), {fmt::format("keys: {}", fmt::join(known, ", "))});
    }
    text("name", experiment_.name);
    text("question", experiment_.question);
    if (experiment_.name.empty() || experiment_.name.size() > 200 || experiment_.name[0] == '.' ||
        experiment_.name.find('/') != std::string::npos)
      problem(root_.find("name") ? root_.find("name")->at : root_.at, "`name` is the name of a folder under results",
              "no slash, no dot in front, not empty, at most 200 bytes");
    if (const Node* seeds = root_.find("seeds")) read_seeds(*seeds);
    if (const Node* plugins = root_.find("plugins")) {
      bool good = plugins->kind == Kind::array;
      for (const auto& item : plugins->items) good = good && item.kind == Kind::string;
      if (!good) problem(plugins->at, "`plugins` lists folders", "expected an array of strings, such as [\"build\"]");
    }
  }

  void text(const std::string& key, std::string& out) {
    const Node* node = root_.find(key);
    if (!node) return;
    if (node->kind == Kind::string)
      out = node->string;
    else
      problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()), "expected a string");
  }

  void read_seeds(const Node& seeds) {
    auto& out = experiment_.seeds;
    out.clear();
    if (seeds.kind == Kind::integer && seeds.integer >= 1 && seeds.integer <= 100000) {
      for (std::int64_t s = 0; s < seeds.integer; ++s) out.push_back(s);
      return;
    }
    bool good = seeds.kind == Kind::array && !seeds.items.empty();
    for (const auto& item : seeds.items) {
      good = good && item.kind == Kind::integer && item.integer >= 0 && std::find(out.begin(), out.end(), item.integer) == out.end();
      if (good) out.push_back(item.integer);
    }
    if (!good)
      problem(seeds.at, "`seeds` is neither a count nor a list of seeds",
              "expected a number of seeds, such as 8 for 0 .. 7, or different integers from 0, such as [0, 7]");
  }

  /// One start of the host for all the schemas that this manifest needs.
  void learn_schemas() {
    std::vector<const catalog::Entry*> named;
    collect(root_, named);
    for (const auto& p : table_schema<SampleOptions>().params)
      if (const auto* e = p.type == "slot" ? catalog_.find({p.slot}, p.initial.get<std::string>()) : nullptr) named.push_back(e);
    catalog_.learn(named);
    for (int depth = 0; depth < 4; ++depth) {  // slots have defaults, whose slots have defaults
      std::vector<const catalog::Entry*> more;
      for (const auto* entry : named) {
        for (const auto& p : catalog_.describe(*entry).schema.params) {
          if (p.type != "slot") continue;
          if (const auto* e = catalog_.find({p.slot}, p.initial.get<std::string>());
              e && std::find(named.begin(), named.end(), e) == named.end())
            more.push_back(e);
        }
      }
      if (more.empty()) break;
      catalog_.learn(more);
      named.insert(named.end(), more.begin(), more.end());
    }
  }

  void collect(const Node& node, std::vector<const catalog::Entry*>& out) const {
    if (node.kind == Kind::string)
      for (const auto& e : catalog_.entries())
        if (e.stamp.name == node.string) out.push_back(&e);
    for (const auto& item : node.items) collect(item, out);
    for (const auto& m : node.members) collect(m.value, out);
  }

  Json required(const std::string& key) {
    const Node* node = root_.find(key);
    if (node) return component(key, {key}, *node, key);
    if (misspelt_.contains(key)) return {};
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
    const std::size_t problems_before = out_.problems.size();
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
    if (out_.problems.size() == problems_before) out_.doubts.push_back({out, name->at});
    return out;
  }

  TableReader::ReadSlot slot_reader() {
    return [this](const Node& inner, const std::string& kind, const std::string& key) -> Json {
      if (inner.kind == Kind::string && inner.string == "none") return {};
      return component(key, {kind}, inner, kind);
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
    experiment_.keys[key] = std::move(read.key);
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
    if (experiment_.sample["moments"] == "exact") {
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
    if (trains && !root_.find("objective") && !misspelt_.contains("objective"))
      problem(network->at, fmt::format("network `{}` is trained, but the manifest names no objective", schema::text(network->component)),
              "such as objective = \"denoising-score-matching\"");
    if (!trains) {
      for (const char* key : {"objective", "train", "output"})
        if (root_.find(key))
          problem(key_at(key), fmt::format("`{}` has no effect with network `{}`", key, schema::text(network->component)),
                  "it is exact: nothing is trained; remove this");
      if (const Node* sample = root_.find("sample"))
        for (const auto& m : sample->members)
          if (m.key == "ema")
            problem(m.key_at, fmt::format("`ema` has no effect with network `{}`", schema::text(network->component)),
                    "it is exact and has no weights");
      experiment_.objective = experiment_.train = experiment_.output = nullptr;
      experiment_.sample["ema"] = 0.0;
    }
    if (!root_.find("sampler") && !misspelt_.contains("sampler")) {
      const std::size_t before = out_.problems.size();
      if (root_.find("guides"))
        problem(key_at("guides"), "`guides` has no effect: the manifest names no sampler", "such as sampler = \"ancestral\"");
      if (root_.find("sample"))
        problem(key_at("sample"), "`sample` has no effect: the manifest names no sampler", "such as sampler = \"ancestral\"");
      if (root_.find("metrics"))
        problem(key_at("metrics"), "`metrics` needs samples, but the manifest names no sampler", "such as sampler = \"ancestral\"");
      if (!trains && out_.problems.size() == before)
        problem(network->at, "there is nothing to do: nothing is trained, and the manifest names no sampler",
                "such as sampler = \"ancestral\"");
    }
    if (const Json& threads = experiment_.run["threads"]; threads.is_number() && threads.get<double>() != std::floor(threads.get<double>()))
      problem(root_.find("run")->find("threads")->at, "`threads` is no whole number", "expected an integer or \"auto\"");
    const Json& device = experiment_.run["device"];
    const std::string d = device.is_string() ? device.get<std::string>() : "";
    const bool indexed = d.rfind("cuda:", 0) == 0 && d.size() > 5 && d.find_first_not_of("0123456789", 5) == std::string::npos;
    if (d != "auto" && d != "cpu" && d != "cuda" && !indexed)
      problem(root_.find("run")->find("device")->at, fmt::format("`device` cannot be \"{}\"", d), "expected auto, cpu, cuda or cuda:i");
  }

  const Node& root_;
  catalog::Catalog& catalog_;
  Checked out_;
  TableReader reader_;
  Experiment experiment_;
  std::vector<Part> parts_;
  std::set<std::string> misspelt_;  ///< top-level keys that an unknown one was probably meant to be
};

}  // namespace

Checked check(const Node& root, catalog::Catalog& catalog, const std::filesystem::path& folder, const std::string& name) {
  return Checker(root, catalog, folder).run(name);
}

std::vector<std::filesystem::path> plugin_folders(const Node& root, const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> out;
  if (const Node* plugins = root.find("plugins"))
    for (const auto& item : plugins->items)
      if (item.kind == Kind::string) out.push_back((folder / item.string).lexically_normal());
  return out;
}

}  // namespace scorelab::manifest
