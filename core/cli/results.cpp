#include "cli/results.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <iostream>
#include <set>

#include "record/files.h"

namespace scorelab::cli {

namespace {

Json pairs(const Coordinates& at) {
  Json out = Json::array();
  for (const auto& [axis, label] : at) out.push_back({axis, label});
  return out;
}

}  // namespace

std::string Launched::title(const Replicate& r) const {
  const std::string where = manifest::text(cells[r.cell].at);
  return where.empty() ? r.name : where + " " + r.name;
}

void save(const Launched& l) {
  Json cells = Json::array(), replicates = Json::array();
  for (const auto& c : l.cells)
    cells.push_back({{"at", pairs(c.at)},
                     {"resolved", c.resolved},
                     {"chosen", c.chosen},
                     {"left_out", c.left_out}});
  for (const auto& r : l.replicates) {
    Json stages = Json::array();
    for (const auto& s : r.stages)
      stages.push_back({{"kind", s.kind}, {"key", s.key}, {"what", s.what}, {"label", s.label}});
    replicates.push_back({{"cell", r.cell},
                          {"train_seed", r.train_seed},
                          {"sample_seed", r.sample_seed},
                          {"name", r.name},
                          {"folder", r.folder},
                          {"stages", stages}});
  }
  const fs::path file = l.results / l.name / "experiment.json";
  Json now{{"schema", 3},
           {"name", l.name},
           {"question", l.question},
           {"manifest_file", l.manifest_file},
           {"manifest", l.manifest},
           {"comparison", l.comparison},
           {"provenance", l.provenance},
           {"cells", cells},
           {"replicates", replicates},
           {"searched", l.searched},
           {"warnings", l.warnings}};
  try {
    // run.h5 files that are newer than it stay as they are
    if (record::read_json(file) == now) return;
  } catch (const record::Damaged&) {  // it is written anew
  }
  record::write_json(file, std::move(now));
}

namespace {

/// Names in a results folder that came from elsewhere lead nowhere else.
bool stays_inside(const std::string& path) {
  const fs::path p = path;
  return manifest::is_printable(path) && !p.is_absolute() &&
         std::none_of(p.begin(), p.end(), [](const fs::path& part) {
           return part == ".." || (part.string().size() > 1 && part.string()[0] == '.');
         });
}

Launched launched_of(const Json& j, const fs::path& results, const std::string& name,
                     const fs::path& file) {
  Launched l{results,
             j.at("name"),
             j.at("question"),
             j.at("manifest_file"),
             j.at("manifest"),
             j.at("comparison"),
             j.at("provenance"),
             {},
             {},
             {},
             j.at("searched"),
             j.at("warnings")};
  // which complains of another shape
  for (const auto& f : manifest::comparison_of(l.comparison).figures)
    if (!manifest::plain_name(f.name))
      throw record::Damaged(file, "it names a figure that cannot be one");
  if (l.name != name || !stays_inside(l.name))
    throw record::Damaged(file, "it is of another experiment, or was renamed");
  l.provenance.at("launched").get_ref<const std::string&>(),
      l.provenance.at("command").get_ref<const std::string&>();
  for (const auto& c : j.at("cells")) {
    l.cells.push_back(
        {c.at("at").get<Coordinates>(), c.at("resolved"), c.at("chosen"), c.at("left_out")});
    if (!l.cells.back().resolved.is_object())
      throw record::Damaged(file, "a cell of it has another shape than expected");
  }
  for (const auto& key : l.searched)
    if (!record::is_key(key)) throw record::Damaged(file, "it names a stage that cannot be one");
  for (const auto& r : j.at("replicates")) {
    l.replicates.push_back(
        {r.at("cell"), r.at("train_seed"), r.at("sample_seed"), r.at("name"), r.at("folder"), {}});
    if (l.replicates.back().cell >= l.cells.size() || !stays_inside(l.replicates.back().folder))
      throw record::Damaged(file, "a run of it names a cell or a folder that cannot be one");
    for (const auto& s : r.at("stages")) {
      l.replicates.back().stages.push_back(
          {s.at("kind"), s.at("key"), s.at("what"), s.at("label")});
      auto& stage = l.replicates.back().stages.back();
      const bool named = (stage.kind != "evaluate" || stage.what.rfind("evaluate ", 0) == 0) &&
                         (stage.kind != "model" || stage.what.rfind("train ", 0) == 0);
      if (stage.kind == "sample") {
        const Json& sample = l.cells[l.replicates.back().cell].resolved.at("sample");
        sample.at("count").get_to(stage.count), sample.at("trace").get_to(stage.trace);
      }
      if (!record::is_key(stage.key) || !named)
        throw record::Damaged(file, "it names a stage that cannot be one");
    }
  }
  return l;
}

}  // namespace

Launched load_launched(const fs::path& results, const std::string& name) {
  const fs::path file = results / name / "experiment.json";
  if (!fs::exists(file))
    throw Error(fmt::format("there is no experiment `{}` in {}; scorelab ls shows what there is",
                            name, results.string()));
  const Json j = record::read_json(file);
  if (j.value("schema", 1) != 3)
    throw Error(fmt::format(
        "{} was written by another version; run its manifest again (what is done stays done)",
        file.string()));
  return record::shaped(file, [&] { return launched_of(j, results, name, file); });
}

std::vector<std::string> experiments(const fs::path& results) {
  std::vector<std::string> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(results, none))
    if (fs::exists(entry.path() / "experiment.json"))
      out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

namespace {

/// Whether it is done as far as this run asks, which a damaged record does not deny: whoever reads
/// it says so.
bool is_done(const Launched& l, const Launched::Stage& s) try {
  return !record::read_done(record::stage_folder(l.results, s.key), s.count, s.trace).is_null();
} catch (const record::Damaged&) {
  return true;
}

}  // namespace

std::string state_of(const Launched& l, const Launched::Replicate& r) {
  std::string state = "done";
  for (const auto& s : r.stages) {
    const fs::path folder = record::stage_folder(l.results, s.key);
    if (is_done(l, s)) continue;
    if (record::is_claimed(folder)) return "running";
    if (fs::exists(folder / "failure.json"))
      state = "failed";
    else if (state == "done")
      state = "stopped";
  }
  return state;
}

namespace {

/// What `read` gives, where that is of this stage; null where it is damaged, which is told once.
template <class F>
Json own(const Launched::Stage& s, const fs::path& file, F&& read) {
  try {
    Json out = read();
    if (out.is_object() && out.contains("key") && out["key"] != s.key)
      throw record::Damaged(file, "it is of another stage");
    return out;
  } catch (const record::Damaged& e) {
    static std::set<std::string> told;
    if (told.insert(e.what()).second) std::cerr << fmt::format("warning: {}\n", e.what());
    return {};
  }
}

}  // namespace

Json stored(const Launched& l, const Launched::Stage& s, const char* name) {
  const fs::path file = record::stage_folder(l.results, s.key) / name;
  return own(s, file, [&] { return record::read_json(file); });
}

Json stored_result(const Launched& l, const Launched::Stage& s) {
  const fs::path folder = record::stage_folder(l.results, s.key);
  Json out =
      own(s, folder / "stage.json", [&] { return record::read_done(folder, s.count, s.trace); });
  return s.kind == "evaluate" ? record::relabelled(std::move(out), s.what) : out;
}

void refresh(const Launched& l, const Launched::Replicate& r, const std::string& state) {
  Json resolved = l.cells[r.cell].resolved;
  for (const auto& [axis, label] : l.cells[r.cell].at) resolved["cell"][axis] = label;
  record::View v{l.results,    l.folder(r),         l.name,       l.manifest, state, r.sample_seed,
                 r.train_seed, std::move(resolved), l.provenance, {}};
  for (const auto& s : r.stages) {
    const fs::path folder = record::stage_folder(l.results, s.key);
    v.sources.push_back({s.kind, s.key, s.what, s.label, stored(l, s, "spec.json"), is_done(l, s)});
  }
  const bool there = std::any_of(r.stages.begin(), r.stages.end(), [&](const auto& s) {
    return fs::exists(record::stage_folder(l.results, s.key));
  });
  if (!there && fs::exists(v.folder / "run.h5")) {  // a copy without what it was assembled from
    static std::set<fs::path> told;
    if (told.insert(l.results).second)
      std::cerr << fmt::format(
          "warning: {} is not there, or lacks these stages: run.h5 stays as it is, and only it has "
          "the results; copy that folder too\n",
          (l.results / ".stages").string());
    return;
  }
  if (!record::is_current(v)) record::write_view(v);
}

std::size_t refresh_all(const Launched& l) {
  std::size_t failed = 0;
  for (const auto& r : l.replicates) {
    try {
      // what a run has ended meanwhile is written again: ours may be the last word
      for (std::string state; state != state_of(l, r);) refresh(l, r, state = state_of(l, r));
    } catch (const std::exception& e) {
      if (++failed <= 10)
        std::cerr << fmt::format("warning: {} was not written: {}\n",
                                 (l.folder(r) / "run.h5").string(), e.what());
    }
  }
  return failed;
}

Json measured(const Launched& l, const Launched::Replicate& r) {
  Json out = Json::array();
  for (const auto& s : r.stages) {
    if (s.kind != "evaluate") continue;
    const Json done = stored_result(l, s);
    if (!done.is_null())
      record::shaped(record::stage_folder(l.results, s.key) / "stage.json", [&] {
        for (const auto& v : done.at("values")) {
          v.at("name").get_ref<const std::string&>(), v.at("value");
          out.push_back(v);
        }
      });
  }
  return out;
}

}  // namespace scorelab::cli
