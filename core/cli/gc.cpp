#include <fmt/format.h>
#include <scorelab/error.h>
#include <unistd.h>

#include <cctype>
#include <iostream>
#include <optional>
#include <set>

#include "cli/command.h"
#include "cli/results.h"
#include "params/walk.h"
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
  if (!fs::is_directory(fs::symlink_status(path, none))) return fs::file_size(path, none);
  std::uintmax_t out = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path, none))
    if (entry.is_regular_file(none)) out += entry.file_size(none);
  return out;
}

std::string size_text(std::uintmax_t bytes) {
  const double mib = static_cast<double>(bytes) / 1048576;
  return mib >= 1024 ? fmt::format("{:.1f} GiB", mib / 1024) : fmt::format("{:.1f} MiB", mib);
}

/// The files that a stored spec runs: frozen plugins.
void add_plugins(const Json& spec, std::set<std::string>& out) {
  schema::for_each_component(spec, [&](const Json& component) {
    if (const Json hash = component.value("sha256", Json()); hash.is_string()) out.insert(hash);
  });
}

/// Whether an entry of .plugins has a name of ours.
bool is_plugin_name(const fs::path& path) {
  return path.extension() == ".so" && record::is_key(path.stem().string());
}

/// Adds the stages before one, and those of the models that it names: what a stage in use was made
/// from is in use.
void add_parents(const fs::path& results, const std::string& key, std::set<std::string>& folders) {
  if (!record::is_key(key) ||
      !folders.insert(record::stage_folder(results, key).filename().string()).second)
    return;
  const Json spec = record::read_json(record::stage_folder(results, key) / "spec.json");
  const auto add = [&](const Json& of, const char* name) {
    if (of.is_object() && of.contains(name) && of[name].is_string())
      add_parents(results, of[name], folders);
  };
  for (const char* before : {"trained", "sampled"}) add(spec, before);
  if (spec.is_object() && spec.contains("models"))
    for (const auto& model : spec["models"]) add(model, "trained");
}

/// Stages and plugins that no experiment refers to; not what a process holds. Names that are not of
/// our own form, and links, are left alone.
std::vector<Garbage> garbage(const fs::path& results) {
  std::set<std::string> folders, plugins;
  for (const auto& name : experiments(results)) {
    const fs::path file = results / name / "experiment.json";
    try {
      const Json j = record::read_json(file);
      record::shaped(file, [&] {
        for (const auto& r : j.at("replicates"))
          for (const auto& s : r.at("stages")) add_parents(results, s.at("key"), folders);
        for (const auto& key : j.at("searched")) add_parents(results, key, folders);
        add_plugins(j.at("cells"), plugins);
      });
    } catch (const Error& e) {
      throw Error(
          fmt::format("{}\n  what it refers to is not known, so that nothing is removed; run its "
                      "manifest again or remove {}",
                      e.what(), (results / name).string()));
    }
  }
  std::vector<Garbage> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(results / ".stages", none)) {
    const std::string name = entry.path().filename().string();
    if (!record::is_stage_name(name) || !fs::is_directory(entry.symlink_status())) continue;
    Json spec;
    try {
      spec = record::read_json(entry.path() / "spec.json");
    } catch (const record::Damaged&) {  // it says nothing of what it was
    }
    if (folders.contains(name) || record::is_claimed(entry.path())) {
      add_plugins(spec, plugins);
    } else {
      out.push_back({entry.path(),
                     spec.is_object() ? fmt::format("{} of {}", spec.value("label", "a stage"),
                                                    spec.value("experiment", "?"))
                                      : "a stage that was never begun",
                     size_of(entry.path())});
    }
  }
  for (const auto& entry : fs::directory_iterator(results / ".plugins", none))
    if (is_plugin_name(entry.path()) && fs::is_regular_file(entry.symlink_status()) &&
        !plugins.contains(entry.path().stem().string()))
      out.push_back(
          {entry.path(), "a plugin that no stage in use was made with", size_of(entry.path())});
  return out;
}

/// 2026-11-28T09:30:00Z.4711: what a gc moved away lies in a folder of its own, named by its time
/// and process.
std::string trash_name() { return fmt::format("{}.{}", record::now(), getpid()); }
bool is_trash_name(const std::string& name) {
  const std::string form = "0000-00-00T00:00:00Z.";
  if (name.size() <= form.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i)
    if (i >= form.size() || form[i] == '0' ? !std::isdigit(static_cast<unsigned char>(name[i]))
                                           : name[i] != form[i])
      return false;
  return true;
}

/// What was moved away before.
std::vector<Garbage> trash(const fs::path& results) {
  std::vector<Garbage> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(results / ".trash", none))
    if (fs::is_directory(entry.symlink_status()) && is_trash_name(entry.path().filename().string()))
      out.push_back({entry.path(), "in the trash", size_of(entry.path())});
  return out;
}

/// Moves it into the trash; a stage that a process has claimed since stays.
bool move_away(const fs::path& path, const fs::path& to) {
  std::optional<record::Claim> claim;
  if (fs::is_directory(fs::symlink_status(path))) {
    claim.emplace(path, true);
    if (!claim->held()) return false;
  }
  record::make_folder(to);
  record::rename_file(path, to / path.filename());
  return true;
}

int collect(const fs::path& results, bool dry, bool empty_trash, bool json) {
  for (const char* own : {".stages", ".plugins", ".trash"})
    if (fs::is_symlink(results / own))
      throw Error(fmt::format("{} is a link: it is not followed, and nothing is moved or removed",
                              (results / own).string()));
  std::optional<record::ResultsLock> lock;  // no run plans meanwhile, no other gc is at work
  if (!dry && fs::exists(results)) lock.emplace(results, record::ResultsLock::Mode::remove);
  const auto all = empty_trash ? trash(results) : garbage(results);
  const fs::path bin = results / ".trash" / trash_name();
  const std::string does =
      empty_trash ? (dry ? "would remove" : "removed") : (dry ? "would move" : "moved");
  std::uintmax_t bytes = 0;
  std::size_t count = 0;
  Json list = Json::array();
  for (const auto& g : all) {
    if (!dry && empty_trash) fs::remove_all(g.path);
    if (!dry && !empty_trash && !move_away(g.path, bin)) continue;
    bytes += g.bytes;
    ++count;
    list.push_back({{"path", g.path.string()}, {"why", g.why}, {"bytes", g.bytes}});
    if (!json)
      std::cout << fmt::format("{} {:>10}  {}  {}\n", does, size_text(g.bytes), g.path.string(),
                               g.why);
  }
  if (json) {
    std::cout << Json{{"schema", 1},
                      {"dry_run", dry},
                      {"emptied", empty_trash},
                      {"bytes", bytes},
                      {"removed", list}}
                     .dump(1)
              << "\n";
  } else if (empty_trash) {
    std::cout << (count == 0
                      ? std::string("the trash is empty\n")
                      : fmt::format("{} {}\n", dry ? "would free" : "freed", size_text(bytes)));
  } else {
    std::cout << (count == 0
                      ? std::string("nothing to remove: every stage belongs to an experiment\n")
                      : fmt::format("{} {} in {} places{}\n", does, size_text(bytes), count,
                                    dry ? ""
                                        : fmt::format(" to {}; scorelab gc --empty-trash frees it",
                                                      bin.string())));
  }
  return done;
}

}  // namespace

void add_gc(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand(
      "gc",
      "move stages and plugins that no experiment in the results folder refers to into its trash");
  auto results = std::make_shared<std::string>("results");
  auto dry = std::make_shared<bool>(false), json = std::make_shared<bool>(false),
       empty_trash = std::make_shared<bool>(false);
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_flag("-n,--dry-run", *dry, "only say what would go");
  verb->add_flag("--empty-trash", *empty_trash,
                 "remove for good what was moved to the trash before");
  verb->add_flag("--json", *json, "as JSON");
  verb->callback([=, &code] { code = collect(*results, *dry, *empty_trash, *json); });
}

}  // namespace scorelab::cli
