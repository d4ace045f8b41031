#include "check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "manifest/parts.h"
#include "manifest/plugins.h"
#include "params/data_path.h"
#include "params/sha256.h"
#include "params/tables.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

const std::vector<std::string> model_keys{"dataset", "holdout", "space",     "scheduler",
                                          "network", "output",  "objective", "train",
                                          "run",     "ema",     "seed"};

/// For as long as it lives, what is read plays this role.
class InRole {
 public:
  InRole(std::string& role, std::string now)
      : role_(role), before_(std::exchange(role, std::move(now))) {}
  ~InRole() { role_ = before_; }
  InRole(const InRole&) = delete;
  InRole& operator=(const InRole&) = delete;

 private:
  std::string& role_;
  std::string before_;
};

class Checker {
 public:
  /// Of one of `[models]`: its name, and the checker of the experiment that holds the others.
  Checker(const Node& root, catalog::Catalog& catalog, Findings& findings, std::string model = "",
          Checker* experiment = nullptr)
      : root_(root),
        catalog_(catalog),
        findings_(findings),
        reader_(findings),
        model_(std::move(model)),
        experiment_(experiment ? *experiment : *this) {}

  Checked run() {
    Experiment& e = out_.experiment;
    models();
    e.scheduler = required("scheduler");
    e.dataset = required("dataset");
    if (const Node* held = root_.find("holdout")) e.holdout = holdout(*held);
    if (const Node* space = root_.find("space"))
      e.space = slot_reader(false)(*space, "space", "space");
    e.network = required("network");
    if (root_.find("objective"))
      e.objective = component("objective", {"objective"}, *root_.find("objective"), "objective");
    if (root_.find("sampler"))
      e.sampler = component("sampler", {"sampler", "step"}, *root_.find("sampler"), "sampler");
    labelled("guides", "guide", [&](const std::string& label, Json c) {
      c["label"] = label;
      e.guides.push_back(std::move(c));
    });
    labelled("metrics", "metric", [&](const std::string& label, Json c) {
      c["of"] = parts_.back().declares("on-model") ? "model" : "samples";
      c["traced"] = parts_.back().asks("trace");
      if (c["params"].value("reference", "data") == "holdout" && e.holdout.is_null())
        problem(
            parts_.back().at,
            fmt::format("metric `{}` takes its reference from `holdout`, and nothing is held out",
                        label),
            "such as holdout = 0.1");
      e.metrics[label] = std::move(c);
    });
    e.output = table<OutputOptions>("output");
    const Node* output = root_.find("output");
    const Json means{{"plugin", e.output["predict"]}, {"params", e.output}};
    parts_.push_back(
        {means, output ? output->at : root_.at, schema::of_table<OutputOptions>(), "output"});
    e.train = table<TrainOptions>("train");
    const Node* train = root_.find("train");
    const Json dropped{
        {"plugin", fmt::format("drop_condition = {}", e.train["drop_condition"].dump())},
        {"params", e.train}};
    parts_.push_back(
        {dropped, train ? train->at : root_.at, schema::of_table<TrainOptions>(), "train"});
    if (const std::string weights = e.train["weights"]; !weights.empty())
      e.keys["train"]["weights"] = e.files[weights] = catalog_.hash_of(weights);
    e.sample = model_.empty() ? table<SampleOptions>("sample") : weights_of_model();
    if (const std::string noise = model_.empty() ? e.sample["noise"].get<std::string>() : "";
        !noise.empty())
      e.files[noise] = catalog_.hash_of(noise);
    if (const Node* sample = root_.find("sample"); model_.empty()) {
      const Json traced{{"plugin", fmt::format("trace = {}", e.sample["trace"].dump())},
                        {"params", e.sample}};
      parts_.push_back(
          {traced, sample ? sample->at : root_.at, schema::of_table<SampleOptions>(), "sample"});
    }
    e.run = table<RunOptions>("run");
    std::erase_if(e.models, [&](const auto& m) { return !named_.contains(m.first); });
    match_parts(root_, parts_, !model_.empty(), e, findings_);
    if (model_.empty())
      for (const auto& name : named_) with_theirs(*e.models.at(name));
    out_.left_out = reader_.left_out();
    return std::move(out_);
  }

 private:
  void problem(const Position& at, std::string message, std::string hint,
               std::vector<std::string> notes = {}, bool unavailable = false) {
    findings_.problem({at, std::move(message), std::move(hint), std::move(notes), unavailable});
  }

  Json required(const std::string& key) {
    const Node* node = root_.find(key);
    if (node) return component(key, {key}, *node, key);
    const auto meant = [&](const Node::Member& m) {
      return std::find(model_keys.begin(), model_keys.end(), m.key) == model_keys.end() &&
             nearest(m.key, model_keys) == key;
    };
    if (model_.empty() ? findings_.misspelt.contains(key)
                       : std::any_of(root_.members.begin(), root_.members.end(), meant))
      return {};
    Position start = root_.at;
    start.length = 1;
    problem(start,
            fmt::format("{} names no {}",
                        model_.empty() ? "the manifest" : "model `" + model_ + "`", key),
            fmt::format("such as {} = \"{}\"; scorelab list {}", key, example(key, catalog_), key));
    return {};
  }

  /// `[models]`: each starts from the cell's dataset, scheduler and run. Those that nothing names
  /// are left out in the end.
  void models() {
    const Node* all = root_.find("models");
    if (!all) return;
    if (all->kind != Kind::table)
      return problem(all->at, fmt::format("`models` is {}", all->kind_name()),
                     "expected a table of names");
    for (const auto& m : all->members) {
      if (m.key.empty() || m.key == "none" || m.key.find_first_of("/. ") != m.key.npos) {
        problem(m.key_at, fmt::format("`{}` cannot be a model's name", m.key),
                "a plain name: no slash, dot or blank, and not \"none\"");
        continue;
      }
      if (m.value.kind != Kind::table) {
        problem(m.value.at, fmt::format("`models.{}` is {}", m.key, m.value.kind_name()),
                "expected a table with a `network`");
        continue;
      }
      out_.experiment.models[m.key] = checked_model(m);
      findings_.unused(m.key_at, "model " + m.key,
                       {m.key_at,
                        fmt::format("nothing names the model `{}`", m.key),
                        fmt::format("such as teacher = \"{}\"", m.key),
                        {}});
    }
  }

  /// One of `[models]`, checked when it is asked for first: models may name each other, in any
  /// order.
  std::shared_ptr<const Experiment> checked_model(const Node::Member& m) {
    if (const auto known = checked_.find(m.key); known != checked_.end()) return known->second;
    Node own;
    own.at = m.value.at;
    for (const char* key : {"dataset", "holdout", "space", "scheduler", "run"})
      for (const auto& base : root_.members)
        if (base.key == key) own.members.push_back(base);
    for (const auto& inner : m.value.members)
      if (std::find(model_keys.begin(), model_keys.end(), inner.key) == model_keys.end()) {
        const std::string near = nearest(inner.key, model_keys);
        problem(inner.key_at, fmt::format("model `{}` has no key `{}`", m.key, inner.key),
                near.empty() ? "unknown key" : fmt::format("did you mean `{}`?", near),
                {fmt::format("keys: {}", fmt::join(model_keys, ", "))});
      }
    merge(own, m.value, Merge::keep);
    open_.push_back(m.key);
    auto checked = Checker(own, catalog_, findings_, m.key, this).run();
    open_.pop_back();
    out_.doubts.insert(out_.doubts.end(), checked.doubts.begin(), checked.doubts.end());
    return checked_[m.key] = std::make_shared<Experiment>(std::move(checked.experiment));
  }

  /// A share of the data set's items, or a data set.
  Json holdout(const Node& node) {
    if (node.kind == Kind::string && node.string == "none") return {};
    if (node.kind == Kind::string || node.kind == Kind::table)
      return component("holdout", {"dataset"}, node, "holdout");
    const double share = node.kind == Kind::number ? node.number : -1;
    if (share > 0 && share < 1) return share;
    problem(node.at,
            fmt::format("`holdout` is {}",
                        node.kind == Kind::number ? fmt::format("{}", share) : node.kind_name()),
            "expected a share between 0 and 1, \"none\", or a data set, such as { plugin = "
            "\"idx\", split = \"test\" }");
    return {};
  }

  /// Adds the models that a model names, and those that these name.
  void with_theirs(const Experiment& model) {
    for (const auto& [name, other] : model.models)
      if (out_.experiment.models.emplace(name, other).second) with_theirs(*other);
  }

  /// The name of a model, as a parameter gives it.
  Json model(const Node& node, const std::string& key) {
    if (node.kind != Kind::string) {
      problem(node.at, fmt::format("`{}` is {}", key, node.kind_name()),
              "expected the name of a model, or \"none\"");
      return "none";
    }
    if (node.string == "none") return "none";
    if (role_ == "dataset" || role_ == "holdout" || role_ == "space" || role_ == "scheduler" ||
        role_ == "network") {
      problem(node.at, fmt::format("a {} cannot name a model", role_),
              "objectives, samplers, guides, initials and metrics can, and train.from");
      return "none";
    }
    std::vector<std::string> names;
    const Node* all = experiment_.root_.find("models");
    if (all && all->kind == Kind::table)
      for (const auto& m : all->members) {
        names.push_back(m.key);
        if (m.key != node.string || m.value.kind != Kind::table) continue;
        const auto& open = experiment_.open_;
        if (const auto from = std::find(open.begin(), open.end(), m.key); from != open.end()) {
          problem(
              node.at, fmt::format("the model `{}` is to be trained before itself", m.key),
              fmt::format("{} -> {}: models name each other in a circle",
                          fmt::join(std::vector<std::string>(from, open.end()), " -> "), m.key));
          return "none";
        }
        if (!model_.empty()) out_.experiment.models[m.key] = experiment_.checked_model(m);
        findings_.used(m.key_at, "model " + m.key);
        named_.insert(m.key);
        return m.key;
      }
    const std::string near = nearest(node.string, names);
    problem(node.at, fmt::format("there is no model `{}`", node.string),
            !near.empty()   ? fmt::format("did you mean `{}`?", near)
            : names.empty() ? fmt::format("a table [models.{}] says how it is trained", node.string)
                            : fmt::format("models: {}", fmt::join(names, ", ")));
    return "none";
  }

  /// A name or a table with `plugin`, read against the plugin's schema. Null where it is "none" or
  /// wrong.
  Json component(const std::string& what, const std::vector<std::string>& kinds, const Node& node,
                 const std::string& role, bool inner = false) {
    const std::size_t problems_before = findings_.count();
    const InRole in_role(role_, role);
    const catalog::Entry* entry = find_plugin(what, kinds, node, catalog_, findings_);
    if (!entry) return {};
    const Position at = node.kind == Kind::table ? node.find("plugin")->at : node.at;
    const std::string owner = fmt::format("{} `{}`", kinds[0], entry->stamp.name);
    const auto& described = catalog_.describe(*entry);
    if (!described.error.empty()) {
      problem(at, fmt::format("{} cannot be used", owner),
              "its library " + described.error.substr(0, described.error.find('\n')),
              {fmt::format("file: {}", entry->file.string())}, true);
      return {};
    }
    const schema::Schema& own =
        role == "sampler" && described.as_sampler ? *described.as_sampler : described.schema;
    if (entry->stamp.kind == "metric" && own.find("reference")) {
      problem(at, fmt::format("{} declares `reference`", owner),
              "that is core's own, of every metric; give it another name");
      return Json();
    }
    const schema::Schema s = with_options_of_kind(entry->stamp.kind, own);
    auto read = reader_.read(
        &node, s, owner, fmt::format("scorelab list {}/{}", entry->stamp.kind, entry->stamp.name),
        slot_reader(), true);
    const std::string id = entry->built_in
                               ? fmt::format("{}@{}", entry->stamp.name, entry->stamp.version)
                               : fmt::format("{}#{}", entry->stamp.name, entry->stamp.source);
    Json out{{"plugin", entry->stamp.name},      {"kind", entry->stamp.kind},
             {"version", entry->stamp.version},  {"id", id},
             {"file", entry->file.string()},     {"sha256", entry->sha256},
             {"params", std::move(read.values)}, {"key", std::move(read.key)}};
    for (const auto& p : s.params)
      if (p.reporting) out["reporting"].push_back(p.name);
    if (findings_.count() == problems_before) files(s, out, at, owner);
    parts_.push_back({out, at, s, role, inner});
    if (findings_.count() == problems_before) out_.doubts.push_back({out, at});
    return out;
  }

  TableReader::ReadSlot slot_reader(bool inner = true) {
    return [this, inner](const Node& value, const std::string& kind,
                         const std::string& key) -> Json {
      if (kind == "model") return model(value, key);
      const Node* plugin = value.kind == Kind::table ? value.find("plugin") : &value;
      if (!plugin || plugin->kind != Kind::string || plugin->string != "none")
        return component(key, {kind}, value, kind, inner);
      for (const auto& m : value.members) {
        if (m.key == "plugin") continue;
        const Diagnostic d{m.key_at,
                           fmt::format("`{}` has no effect in `{}`, which is \"none\"", m.key, key),
                           "the slot is empty",
                           {}};
        m.must_fit ? findings_.problem(d) : findings_.unused(m.key_at, m.key, d);
      }
      return {};
    };
  }

  /// The files that a component reads, by their contents, and those that its parameters name.
  void files(const schema::Schema& s, Json& component, const Position& at,
             const std::string& owner) {
    component["files"] = Json::object();
    std::string contents;
    for (const auto& reading : s.reads) {
      if (!schema::holds(reading.whens, component["params"])) continue;
      const auto found = data_files(reading.name, component["params"]);
      if (found.empty() && !reading.optional) {
        std::vector<std::string> folders;
        for (const auto& folder : data_folders()) folders.push_back(folder.string());
        problem(at,
                fmt::format("{} reads `{}`, which is not there", owner,
                            data_name(reading.name, component["params"])),
                "set SCORELAB_DATA to the folder that holds it, or see `scorelab data`",
                {fmt::format("searched: {}", fmt::join(folders, ", "))});
      }
      for (const auto& file : found) {
        const std::string hash = catalog_.hash_of(file.path);
        component["files"][file.path.string()] = hash;
        contents += file.name + " " + hash + "\n";
      }
    }
    if (!contents.empty()) component["key"]["$files"] = sha256(contents);
    for (const auto& p : s.params)
      if (p.file && component["params"][p.name] != p.initial) {
        const std::string path = component["params"][p.name];
        component["files"][path] = catalog_.hash_of(path);
      }
    out_.experiment.files.update(component["files"]);
  }

  /// A table without `plugin` under a plugin's own name is that plugin: `vlb = { .. }`.
  Node named(const Node& value, const std::string& kind, const std::string& label) const {
    Node out = value;
    if (value.kind != Kind::table || value.find("plugin") || !catalog_.find({kind}, label))
      return out;
    Node name;
    name.kind = Kind::string;
    name.string = label;
    name.at = value.at;
    out.members.push_back({"plugin", value.at, std::move(name), false, false});
    return out;
  }

  /// Components under labels: a list of names, or a table of labels. `f` keeps each.
  void labelled(const std::string& key, const std::string& kind,
                const std::function<void(const std::string& label, Json)>& f) {
    const Node* node = root_.find(key);
    if (!node) return;
    std::set<std::string> seen;
    const auto add = [&](const std::string& label, const std::string& what, const Position& at,
                         const Node& value) {
      if (!seen.insert(label).second)
        return problem(at, fmt::format("the {} `{}` is named twice", kind, label),
                       fmt::format("give one a label: {} = {{ label = .. }}", key));
      if (Json c = component(what, {kind}, named(value, kind, label), kind); !c.is_null())
        f(label, std::move(c));
    };
    if (node->kind == Kind::array) {
      for (std::size_t i = 0; i < node->items.size(); ++i) {
        const Node& item = node->items[i];
        const Node* name = item.kind == Kind::table ? item.find("plugin") : &item;
        add(name && name->kind == Kind::string ? name->string : std::to_string(i),
            fmt::format("{}[{}]", key, i), item.at, item);
      }
    } else if (node->kind == Kind::table) {
      for (const auto& m : node->members) {
        if (m.key.empty() || m.key[0] == '.' || m.key.find('/') != std::string::npos)
          problem(m.key_at, fmt::format("a {}'s label is a plain name", kind),
                  "no slash, no dot in front, not empty");
        else
          add(m.key, key + "." + m.key, m.value.at, m.value);
      }
    } else {
      problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()),
              fmt::format("expected names, such as [\"{}\"], or a table of labels",
                          example(kind, catalog_)));
    }
  }

  /// Which weights of a model are used.
  Json weights_of_model() {
    Node ema;
    ema.at = root_.at;
    for (const auto& m : root_.members)
      if (m.key == "ema" || m.key == "seed") ema.members.push_back(m);
    static const schema::Schema s = schema::of_table<ModelOptions>();
    return reader_
        .read(&ema, s, fmt::format("model `{}`", model_), "scorelab list models", slot_reader(),
              false)
        .values;
  }

  template <class Options>
  Json table(const std::string& key) {
    const Node* node = root_.find(key);
    if (node && node->kind != Kind::table) {
      problem(node->at, fmt::format("`{}` is {}", key, node->kind_name()), "expected a table");
      node = nullptr;
    }
    static const schema::Schema s = schema::of_table<Options>();
    const InRole in_role(role_, key);
    auto read = reader_.read(node, s, fmt::format("the table `{}`", key),
                             fmt::format("scorelab list {}", key), slot_reader(), false);
    out_.experiment.keys[key] = std::move(read.key);
    return std::move(read.values);
  }

  const Node& root_;
  catalog::Catalog& catalog_;
  Findings& findings_;
  Checked out_;
  TableReader reader_;
  std::string model_, role_;
  Checker& experiment_;
  std::set<std::string> named_;
  std::map<std::string, std::shared_ptr<const Experiment>> checked_;
  std::vector<std::string> open_;  // models that are being checked, each within the one before
  std::vector<Part> parts_;
};

}  // namespace

Checked check(const Node& root, catalog::Catalog& catalog, Findings& findings) {
  return Checker(root, catalog, findings).run();
}

}  // namespace scorelab::manifest
