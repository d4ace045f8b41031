#include "cli/results.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>

#include "record/files.h"

namespace scorelab::cli {

void save(const Launched& l) {
  Json cells = Json::array();
  for (const auto& c : l.cells) {
    Json stages = Json::array();
    for (const auto& s : c.stages) stages.push_back({{"kind", s.kind}, {"key", s.key}, {"label", s.label}});
    cells.push_back({{"seed", c.seed}, {"folder", c.folder}, {"stages", stages}});
  }
  record::write_whole(l.results / l.name / "experiment.json", Json{{"name", l.name},
                                                                   {"question", l.question},
                                                                   {"manifest_file", l.manifest_file},
                                                                   {"manifest", l.manifest},
                                                                   {"resolved", l.resolved},
                                                                   {"provenance", l.provenance},
                                                                   {"cells", cells}}
                                                                  .dump(1));
}

Launched load_launched(const fs::path& results, const std::string& name) {
  const Json j = record::read_json(results / name / "experiment.json");
  if (j.is_null()) throw Error(fmt::format("there is no experiment `{}` in {}; scorelab ls shows what there is", name, results.string()));
  Launched l{results, j["name"], j["question"], j["manifest_file"], j["manifest"], j["resolved"], j["provenance"], {}, {}};
  for (const auto& c : j["cells"]) {
    Launched::Cell cell{c["seed"], c["folder"], {}};
    for (const auto& s : c["stages"]) cell.stages.push_back({s["kind"], s["key"], s["label"]});
    l.cells.push_back(std::move(cell));
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

std::string state_of(const Launched& l, const Launched::Cell& cell) {
  std::string state = "done";
  for (const auto& s : cell.stages) {
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

void refresh(const Launched& l, const Launched::Cell& cell, const std::string& state) {
  record::View v{l.results, l.folder(cell), l.name, l.manifest, state, cell.seed, l.resolved, l.provenance, {}};
  for (const auto& s : cell.stages) {
    const fs::path folder = record::stage_folder(l.results, s.key);
    v.sources.push_back({s.kind, s.key, s.label, record::read_json(folder / "spec.json"), fs::exists(folder / "stage.json")});
  }
  record::write_view(v);
}

Json measured(const Launched& l, const Launched::Cell& cell) {
  Json out = Json::array();
  for (const auto& s : cell.stages) {
    if (s.kind != "evaluate") continue;
    const Json done = record::read_json(record::stage_folder(l.results, s.key) / "stage.json");
    if (!done.is_null()) out.insert(out.end(), done["values"].begin(), done["values"].end());
  }
  return out;
}

}  // namespace scorelab::cli
