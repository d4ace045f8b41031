#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>

#include <cmath>
#include <iostream>

#include "catalog/trust.h"
#include "cli/command.h"
#include "cli/provenance.h"
#include "cli/running.h"
#include "record/hdf5.h"

namespace scorelab::cli {
namespace {

using manifest::Node;

/// Recorded values as a manifest's tree. Every parameter is there, defaults too: those without
/// effect are left out silently.
Node tree_of(const Json& value) {
  Node out;
  if (value.is_object() && value.contains("plugin") && value.contains("params")) {
    Json flat = value["params"];
    flat["plugin"] = value["plugin"];
    return tree_of(flat);
  }
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items())
      if (!inner.is_null())
        out.members.push_back({key, {}, tree_of(inner), key != "plugin", false});
      else
        out.members.push_back({key, {}, tree_of("none"), true, false});
  } else if (value.is_array()) {
    out.kind = Node::Kind::array;
    for (const auto& inner : value) out.items.push_back(tree_of(inner));
  } else if (value.is_string()) {
    out.kind = Node::Kind::string;
    out.string = value;
  } else if (value.is_boolean()) {
    out.kind = Node::Kind::boolean;
    out.boolean = value;
  } else if (value.is_number_integer()) {
    out.kind = Node::Kind::integer;
    out.integer = value;
  } else {
    out.kind = Node::Kind::number;
    out.number = value;
  }
  return out;
}

Node root_of(const Json& resolved, std::int64_t train_seed, std::int64_t sample_seed) {
  Json all;
  for (const auto& key : manifest::experiment_keys)
    if (resolved.contains(key)) all[key] = resolved[key];
  if (!resolved.contains("objective")) {
    for (const char* key : {"train", "output"}) all.erase(key);
    if (all.contains("metrics"))  // an exact network has no weights to choose
      for (auto& metric : all["metrics"])
        if (metric.value("of", "") == "model") metric["params"].erase("weights");
  }
  if (all.contains("guides")) {
    Json guides = Json::object();
    for (const auto& g : resolved["guides"]) guides[g["label"].get<std::string>()] = g;
    all["guides"] = guides;
  }
  Node root = tree_of(all);
  if (resolved.contains("guides")) {  // their order counts, and JSON has none
    Node* guides = &root.member("guides")->value;
    std::vector<Node::Member> ordered;
    for (const auto& g : resolved["guides"]) ordered.push_back(*guides->member(g["label"]));
    guides->members = std::move(ordered);
  }
  if (!resolved.contains("objective"))
    if (auto* sample = root.member("sample"))
      std::erase_if(sample->value.members, [](const auto& m) { return m.key == "ema"; });
  root.members.push_back({"name", {}, tree_of(resolved["name"]), false, false});
  root.members.push_back({"question", {}, tree_of(resolved.value("question", "")), false, false});
  root.members.push_back({"seeds",
                          {},
                          tree_of(Json{{"train", {train_seed}}, {"sample", {sample_seed}}}),
                          false,
                          false});
  return root;
}

/// The files that were read then and are not there now, with the same contents, under any path.
std::vector<std::string> missing_inputs(const Json& then, const Json& now) {
  std::vector<std::string> out;
  if (!then.is_object() || !now.is_object()) return out;
  for (const auto& [path, hash] : then.items())
    if (std::find(now.begin(), now.end(), hash) == now.end()) {
      std::string here;
      for (const auto& [own, is] : now.items())
        if (fs::path(own).filename() == fs::path(path).filename())
          here = fmt::format("; here {} has {}", own, is.dump());
      out.push_back(fmt::format("{} had the SHA-256 {}{}", path, hash.dump(), here));
    }
  return out;
}

/// Says what was recorded of the machine and the programs, beside what is there now. Returns the
/// inputs that differ.
std::vector<std::string> compare_machines(hid_t file, const Json& now) {
  const record::Handle group = record::open_group(file, "provenance");
  std::vector<std::string> inputs;
  std::cerr << "what differs here:\n";
  bool same = true;
  for (const auto& [key, value] : now.items()) {
    if (key == "command" || key == "launched" || key == "git_diff") continue;
    std::string was;
    try {
      was = record::read_text(group, key);
    } catch (const Error&) {
      continue;
    }
    const std::string is = value.is_string() ? value.get<std::string>() : value.dump();
    const Json before = Json::parse(was, nullptr, false);
    if (key == "data") {
      inputs = missing_inputs(before, value);
      for (const auto& text : inputs) std::cerr << fmt::format("  data: {}\n", text);
      same = same && inputs.empty();
    } else if (before.is_object() && value.is_object()) {
      const auto without_place = [](Json plugin) {
        if (plugin.is_object()) plugin.erase("file");
        return plugin;
      };
      // then there may have been more: the plugins of other cells
      for (const auto& [name, own] : value.items()) {
        const Json then = before.contains(name) ? without_place(before[name]) : Json("not there"),
                   is = without_place(own);
        if (then == is) continue;
        std::cerr << fmt::format("  {}: {} then, {} now\n", name, then.dump(), is.dump());
        same = false;
      }
    } else if (was != is) {
      std::cerr << fmt::format("  {}: {} then, {} now\n", key, was.empty() ? "nothing" : was,
                               is.empty() ? "nothing" : is);
      same = false;
    }
  }
  if (same) std::cerr << "  nothing\n";
  return inputs;
}

int compare_values(hid_t file, const fs::path& fresh, const std::vector<std::string>& inputs) {
  if (!record::exists(file, "metrics")) return done;
  const record::Handle metrics = record::open_group(file, "metrics");
  if (!record::exists(metrics, "metrics")) {
    std::cout << "the run measured no metrics\n";
    return done;
  }
  const record::Handle then = record::open_group(metrics, "metrics"),
                       again = record::open_file(fresh);
  const record::Handle now = record::open_group(record::open_group(again, "metrics"), "metrics");
  bool same = true;
  for (const auto& name : record::names(then)) {
    if (name == "step" || name == "wall") continue;
    const std::vector<record::Array::Type> floats{record::Array::Type::f64};
    const double a = record::read(then, name, floats, 1).as<double>()[0];
    if (!record::exists(now, name)) {
      std::cout << fmt::format("{:<32} {} then, not measured now\n", name, a);
      same = false;
      continue;
    }
    const double b = record::read(now, name, floats, 1).as<double>()[0];
    const bool equal = a == b || (std::isnan(a) && std::isnan(b));
    std::cout << fmt::format(
        "{:<32} {} then, {} now{}\n", name, a, b,
        equal ? ": the same"
              : fmt::format(": off by {:.3g}", std::abs(a - b) / std::max(1e-300, std::abs(a))));
    same = same && equal;
  }
  if (!inputs.empty()) {
    std::cout << fmt::format("not the same inputs, so that this is another experiment:\n  {}\n",
                             fmt::join(inputs, "\n  "));
    return failed;
  }
  std::cout << (same ? "reproduced to the last bit\n"
                     : "not the same bits; other processors, thread counts and LibTorch versions "
                       "round differently\n");
  return done;
}

int reproduce(const std::string& path, const std::string& results,
              const std::vector<std::string>& plugins, bool quiet) {
  if (!fs::is_regular_file(path)) throw NothingThere(fmt::format("there is no file {}", path));
  const record::Handle file = [&] {
    try {
      return record::open_verified(path);
    } catch (const record::Damaged& e) {
      // somebody may have added to it; what is needed is looked at piece by piece
      std::cerr << fmt::format("warning: {}; it was changed since it was written\n", e.what());
    }
    try {
      return record::open_file(path);
    } catch (const record::Damaged& e) {
      throw CLI::ValidationError(fmt::format("{} is no run.h5: {}", path, e.what()));
    }
  }();
  Json resolved;
  std::int64_t sample_seed = 0, train_seed = 0;
  Loaded loaded;
  {
    const record::Handle config = record::open_group(file, "config");
    resolved = Json::parse(record::read_text(config, "resolved"), nullptr, false);
    if (!resolved.is_object() || !resolved.contains("name") || !resolved["name"].is_string())
      throw Error(fmt::format("{} is damaged: its configuration is no experiment", path));
    loaded.text = record::read_text(config, "source");
    sample_seed = record::read_integer(file, "seed");
    train_seed = record::read_integer(file, "train_seed");
  }
  loaded.sources.add(path, loaded.text, fs::path(path).parent_path().string());
  Node root = root_of(resolved, train_seed, sample_seed);
  Json folders = Json::array();
  for (const auto& folder : plugins) {
    catalog::trust_for_now(folder);
    folders.push_back(fs::absolute(folder).string());
  }
  root.members.push_back({"plugins", {}, tree_of(folders), false, false});
  if (const int code = load_tree(root, {}, resolved["name"], false, {}, loaded); code != done)
    return code;
  const auto inputs = compare_machines(file, provenance(loaded.cells, fs::current_path(), ""));
  RunArguments a;
  a.manifest.file = path;
  a.results = results;
  a.options.quiet = quiet;
  a.command = "scorelab reproduce " + path;
  if (const int code = run_loaded(loaded, a); code != done) return code;
  return compare_values(file, fs::path(results) / loaded.comparison.name / "run.h5", inputs);
}

}  // namespace

void add_reproduce(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand(
      "reproduce", "run again what a run.h5 records, from that file alone, and say what differs");
  auto file = std::make_shared<std::string>(),
       results = std::make_shared<std::string>("results/reproduced");
  auto quiet = std::make_shared<bool>(false);
  verb->add_option("file", *file, "a run.h5")->required();
  verb->add_option("--results", *results,
                   "the folder for the new results; what it holds already is not computed again")
      ->capture_default_str();
  auto plugins = std::make_shared<std::vector<std::string>>();
  verb->add_option("--plugins", *plugins,
                   "folders with the plugins that it used beside scorelab's own")
      ->allow_extra_args(false);
  verb->add_flag("-q,--quiet", *quiet, "no progress");
  verb->callback([=, &code] { code = reproduce(*file, *results, *plugins, *quiet); });
}

}  // namespace scorelab::cli
