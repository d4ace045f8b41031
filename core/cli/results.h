#pragma once
#include <scorelab/error.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "record/view.h"

namespace scorelab::cli {

namespace fs = std::filesystem;
using manifest::Coordinates;
using schema::Json;

/// What was launched, as results/NAME/experiment.json keeps it.
struct Launched {
  fs::path results;
  std::string name, question, manifest_file, manifest;
  /// variants, axes, seeds, claims, papers, figures and compare, as compare::from_json reads them
  Json comparison;
  Json provenance;
  /// of this launch: "step `langevin`" -> its file and the manifest's line
  std::map<std::string, std::string> plugins;
  struct Stage {
    /// kind: also `model`, the training of one of the manifest's models
    std::string kind, key, what, label;
    std::int64_t count = 0, trace = 0;  ///< samples and paths that this run asks of a sampling
  };
  struct Cell {
    Coordinates at;
    Json resolved;  ///< the whole experiment
    Json chosen;    ///< by a search: {"axis", "label", "of", "metric"}, or null
    std::vector<std::string> left_out;
  };
  struct Replicate {
    std::size_t cell;
    std::int64_t train_seed, sample_seed;
    std::string name, folder;
    std::vector<Stage> stages;
  };
  std::vector<Cell> cells;
  std::vector<Replicate> replicates;
  std::vector<std::string> searched;  ///< keys of the stages that searches were decided by
  std::vector<std::string> warnings;  ///< what works and may still mislead

  fs::path folder(const Replicate& r) const {
    return r.folder.empty() ? results / name : results / name / r.folder;
  }
  /// `eta0 S=10 s0`.
  std::string title(const Replicate& r) const;
};

/// Nothing is selected: exit code 5.
class NothingThere : public Error {
 public:
  using Error::Error;
};

void save(const Launched& launched);
/// Throws Error where there is no such experiment.
Launched load_launched(const fs::path& results, const std::string& name);
std::vector<std::string> experiments(const fs::path& results);

/// done, running (a live process holds a stage), failed, or stopped.
std::string state_of(const Launched& launched, const Launched::Replicate& replicate);
/// Assembles run.h5, run.jsonl and the pictures of a replicate.
void refresh(const Launched& launched, const Launched::Replicate& replicate,
             const std::string& state);
/// Those of all replicates; what cannot be written is told on stderr. Returns how many could not.
std::size_t refresh_all(const Launched& launched);
/// A record of a stage, such as failure.json; null where there is none, or where it is damaged,
/// which is told on stderr once.
Json stored(const Launched& launched, const Launched::Stage& stage, const char* name);
/// The same of the stage's stage.json, where it is done as far as this run asks.
Json stored_result(const Launched& launched, const Launched::Stage& stage);

/// Every value of the metric stages that are done: {"name", "value", "unit", "goal"}.
Json measured(const Launched& launched, const Launched::Replicate& replicate);

}  // namespace scorelab::cli
