#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "manifest/check.h"
#include "manifest/comparison.h"

namespace scorelab::plan {

namespace fs = std::filesystem;
using manifest::Coordinates;
using manifest::Experiment;
using schema::Json;

/// A cell of the comparison: where it stands and what is run there.
struct CellPlan {
  Coordinates at;
  Experiment experiment;
};

/// One piece of work whose result is stored under its key.
struct Stage {
  std::string kind;  ///< train, sample or evaluate
  std::string key;   ///< SHA-256 of what determines its result
  std::string what;  ///< `train`, `sample`, `evaluate mmd`
  /// for people: what, where and which seed, such as `evaluate mmd eta0 S=10 s0`
  std::string label;
  Json spec;  ///< all that a host needs
  bool done = false;
  /// why it is to do; or, of a stage that is done, what is worth knowing
  std::string reason;
  std::vector<std::size_t> after;  ///< the stages that it needs
  /// what it took, or, from stages like it, should take; negative: not known
  double seconds = -1;
};

/// One replicate of a cell: its stages, and its folder in results/NAME ("" for a single one).
struct Replicate {
  std::size_t cell;
  std::int64_t train_seed, sample_seed;
  std::string name;  ///< `s0`
  std::string folder;
  std::vector<std::size_t> stages;
  /// the manifest's models -> those of them that train these, unless that is its own training
  std::map<std::string, std::size_t> models;
};

/// A choice among the points of axes with `best`, on seeds that are not reported.
struct Search {
  Coordinates at;  ///< without these axes
  std::string axis, metric;
  std::vector<std::size_t> cells;   ///< the candidates
  std::vector<std::size_t> stages;  ///< of all candidates
  std::string chosen;               ///< the label; empty until all is measured
  /// label -> mean of the metric, of those that are measured
  std::vector<std::pair<std::string, double>> values;
};

struct Plan {
  std::string name;
  /// those that are reported; before a search is decided, its cell stands for the point to be
  /// chosen
  std::vector<CellPlan> cells;
  std::vector<Stage> stages;  ///< every stage after those that it needs
  std::vector<Replicate> replicates;
  std::vector<Search> searches;
  /// kind -> stages that can be planned once the searches are decided
  std::map<std::string, std::size_t> pending;
};

/// Raised when the arithmetic of a stage changes, so that stored results are made again.
constexpr int numerics = 3;

/// The stages of all cells and seeds, and which of them `results` holds. Throws Error where a
/// stored stage was made with other defaults under the same plugin version.
Plan make_plan(const manifest::Comparison& comparison, std::vector<CellPlan> cells,
               const fs::path& results);

/// Adds to a stage's spec what another spec of the same stage asks for beyond its key: averages,
/// kept steps, the number of samples.
void gather(Json& spec, const Json& other);

/// Whether a stage's folder holds all that the spec asks for; if not, `why` says what is missing.
bool is_done(const fs::path& results, const Stage& stage, std::string& why);

}  // namespace scorelab::plan
