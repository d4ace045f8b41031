#include "cli/results.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>

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
    cells.push_back({{"at", pairs(c.at)}, {"resolved", c.resolved}, {"chosen", c.chosen}, {"left_out", c.left_out}});
  for (const auto& r : l.replicates) {
    Json stages = Json::array();
    for (const auto& s : r.stages) stages.push_back({{"kind", s.kind}, {"key", s.key}, {"what", s.what}, {"label", s.label}});
    replicates.push_back({{"cell", r.cell},
                          {"train_seed", r.train_seed},
                          {"sample_seed", r.sample_seed},
                          {"name", r.name},
                          {"folder", r.folder},
                          {"stages", stages}});
  }
  record::write_whole(l.results / l.name / "experiment.json", Json{{"schema", 2},
                                                                   {"name", l.name},
                                                                   {"question", l.question},
                                                                   {"manifest_file", l.manifest_file},
                                                                   {"manifest", l.manifest},
                                                                   {"comparison", l.comparison},
                                                                   {"provenance", l.provenance},
                                                                   {"cells", cells},
                                                                   {"replicates", replicates},
                                                                   {"searched", l.searched}}
                                                                  .dump(1));
}

Launched load_launched(const fs::path& results, const std::string& name) {
  const Json j = record::read_json(results / name / "experiment.json");
  if (j.is_null()) throw Error(fmt::format("there is no experiment `{}` in {}; scorelab ls shows what there is", name, results.string()));
  if (j.value("schema", 1) != 2)
    throw Error(fmt::format("{} was written by an earlier version; run its manifest again (what is done stays done)",
                            (results / name / "experiment.json").string()));
  Launched l{results, j["name"], j["question"], j["manifest_file"], j["manifest"], j["comparison"], j["provenance"], {},
             {},      {},        j["searched"]};
  for (const auto& c : j["cells"]) l.cells.push_back({c["at"].get<Coordinates>(), c["resolved"], c["chosen"], c["left_out"]});
  for (const auto& r : j["replicates"]) {
    l.replicates.push_back({r["cell"], r["train_seed"], r["sample_seed"], r["name"], r["folder"], {}});
    for (const auto& s : r["stages"]) l.replicates.back().stages.push_back({s["kind"], s["key"], s["what"], s["label"]});
  }
  return l;
}

std::vector<std::string> experiments(const fs::path& results) {
  std::vector<std::string> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(results, none))
    if (fs::exists(entry.path() / "experiment.json")) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

std::string state_of(const Launched& l, const Launched::Replicate& r) {
  std::string state = "done";
  for (const auto& s : r.stages) {
    const fs::path folder = record::stage_folder(l.results, s.key);
    if (fs::exists(folder / "stage.json")) continue;
    if (fs::exists(folder / "lock") && !record::Claim(folder).held()) return "running";
    if (fs::exists(folder / "failure.json"))
      state = "failed";
    else if (state == "done")
      state = "stopped";
  }
  return state;
}

void refresh(const Launched& l, const Launched::Replicate& r, const std::string& state) {
  Json resolved = l.cells[r.cell].resolved;
  for (const auto& [axis, label] : l.cells[r.cell].at) resolved["cell"][axis] = label;
  record::View v{l.results, l.folder(r), l.name, l.manifest, state, r.sample_seed, r.train_seed, std::move(resolved), l.provenance, {}};
  for (const auto& s : r.stages) {
    const fs::path folder = record::stage_folder(l.results, s.key);
    v.sources.push_back({s.kind, s.key, s.what, s.label, record::read_json(folder / "spec.json"), fs::exists(folder / "stage.json")});
  }
  record::write_view(v);
}

Json measured(const Launched& l, const Launched::Replicate& r) {
  Json out = Json::array();
  for (const auto& s : r.stages) {
    if (s.kind != "evaluate") continue;
    const Json done = record::read_json(record::stage_folder(l.results, s.key) / "stage.json");
    if (!done.is_null()) out.insert(out.end(), done["values"].begin(), done["values"].end());
  }
  return out;
}

}  // namespace scorelab::cli
