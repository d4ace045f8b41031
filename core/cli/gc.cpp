#include <fmt/format.h>
#include <scorelab/error.h>

#include <iostream>
#include <set>

#include "cli/command.h"
#include "cli/results.h"
#include "record/files.h"

namespace scorelab::cli {
namespace {

struct Garbage {
  fs::path path;
  std::string why;
  std::uintmax_t bytes;
};

std::uintmax_t size_of(const fs::path& path) {
  std::error_code none;
  if (!fs::is_directory(path)) return fs::file_size(path, none);
  std::uintmax_t out = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path, none))
    if (entry.is_regular_file(none)) out += entry.file_size(none);
  return out;
}

/// The files that a stored spec runs: frozen plugins.
void frozen_in(const Json& value, std::set<std::string>& out) {
  if (value.is_object() && value.contains("sha256") && value["sha256"].is_string()) out.insert(value["sha256"].get<std::string>());
  if (value.is_structured())
    for (const auto& inner : value) frozen_in(inner, out);
}

std::string size_text(std::uintmax_t bytes) {
  const double mib = static_cast<double>(bytes) / 1048576;
  return mib >= 1024 ? fmt::format("{:.1f} GiB", mib / 1024) : fmt::format("{:.1f} MiB", mib);
}

/// Stages and plugins that no experiment refers to. A stage that a stage in use was made from is in use; so is one that a process holds.
std::vector<Garbage> garbage(const fs::path& results) {
  std::set<std::string> keys, plugins;
  for (const auto& name : experiments(results)) {
    const Json j = record::read_json(results / name / "experiment.json");
    if (!j.contains("replicates"))
      throw Error(fmt::format("{} cannot be read, so that what it refers to is not known; run its manifest again or remove it",
                              (results / name).string()));
    for (const auto& r : j["replicates"])
      for (const auto& s : r["stages"]) keys.insert(s["key"].get<std::string>());
    for (const auto& key : j.value("searched", Json::array())) keys.insert(key.get<std::string>());
  }
  std::set<std::string> folders;
  for (const auto& key : keys) {
    folders.insert(record::stage_folder(results, key).filename().string());
    const Json spec = record::read_json(record::stage_folder(results, key) / "spec.json");
    for (const char* before : {"trained", "sampled"})
      if (spec.is_object() && !spec.value(before, "").empty())
        folders.insert(record::stage_folder(results, spec[before]).filename().string());
  }
  std::vector<Garbage> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(results / ".stages", none)) {
    const Json spec = record::read_json(entry.path() / "spec.json");
    const bool used = folders.contains(entry.path().filename().string());
    const bool held = fs::exists(entry.path() / "lock") && !record::Claim(entry.path()).held();
    if (used || held) {
      frozen_in(spec, plugins);
    } else {
      out.push_back({entry.path(),
                     spec.is_object() ? fmt::format("{} of {}", spec.value("label", "a stage"), spec.value("experiment", "?"))
                                      : "a stage that was never begun",
                     size_of(entry.path())});
    }
  }
  for (const auto& entry : fs::directory_iterator(results / ".plugins", none))
    if (!plugins.contains(entry.path().stem().string()))
      out.push_back({entry.path(), "a plugin that no stage in use was made with", size_of(entry.path())});
  return out;
}

int collect(const fs::path& results, bool dry, bool json) {
  const auto all = garbage(results);
  std::uintmax_t bytes = 0;
  Json list = Json::array();
  for (const auto& g : all) {
    bytes += g.bytes;
    list.push_back({{"path", g.path.string()}, {"why", g.why}, {"bytes", g.bytes}});
    if (!json)
      std::cout << fmt::format("{} {:>10}  {}  {}\n", dry ? "would remove" : "removed", size_text(g.bytes), g.path.string(), g.why);
    if (dry) continue;
    if (!fs::is_directory(g.path)) {
      fs::remove(g.path);
      continue;
    }
    const record::Claim claim(g.path, true);
    if (claim.held()) fs::remove_all(g.path);
  }
  if (json)
    std::cout << Json{{"schema", 1}, {"dry_run", dry}, {"bytes", bytes}, {"removed", list}}.dump(1) << "\n";
  else
    std::cout << (all.empty() ? std::string("nothing to remove: every stage belongs to an experiment\n")
                              : fmt::format("{} {} in {} places\n", dry ? "would free" : "freed", size_text(bytes), all.size()));
  return done;
}

}  // namespace

void add_gc(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("gc", "remove stages and plugins that no experiment in the results folder refers to");
  auto results = std::make_shared<std::string>("results");
  auto dry = std::make_shared<bool>(false), json = std::make_shared<bool>(false);
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_flag("-n,--dry-run", *dry, "only say what would go");
  verb->add_flag("--json", *json, "as JSON");
  verb->callback([=, &code] { code = collect(*results, *dry, *json); });
}

}  // namespace scorelab::cli
