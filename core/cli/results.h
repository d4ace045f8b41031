#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "record/view.h"

namespace scorelab::cli {

namespace fs = std::filesystem;
using schema::Json;

/// What was launched, as results/NAME/experiment.json keeps it.
struct Launched {
  fs::path results;
  std::string name, question, manifest_file, manifest;
  Json resolved, provenance;
  std::map<std::string, std::string> plugins;  ///< of this launch: "step `langevin`" -> its file and the manifest's line
  struct Stage {
    std::string kind, key, label;
  };
  struct Cell {
    std::int64_t seed;
    std::string folder;
    std::vector<Stage> stages;
  };
  std::vector<Cell> cells;

  fs::path folder(const Cell& cell) const { return cell.folder.empty() ? results / name : results / name / cell.folder; }
};

void save(const Launched& launched);
/// Throws Error where there is no such experiment.
Launched load_launched(const fs::path& results, const std::string& name);
std::vector<std::string> experiments(const fs::path& results);

/// done, running (a live process holds a stage), failed, or stopped.
std::string state_of(const Launched& launched, const Launched::Cell& cell);
/// Assembles run.h5, run.jsonl and the pictures of a cell.
void refresh(const Launched& launched, const Launched::Cell& cell, const std::string& state);

/// Every value of the metric stages that are done: {"name", "value", "unit", "goal"}.
Json measured(const Launched& launched, const Launched::Cell& cell);

}  // namespace scorelab::cli
