#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "manifest/check.h"

namespace scorelab::plan {

namespace fs = std::filesystem;
using manifest::Experiment;
using schema::Json;

/// One piece of work whose result is stored under its key.
struct Stage {
  std::string kind;   ///< train, sample or evaluate
  std::string key;    ///< SHA-256 of what determines its result
  std::string label;  ///< for people: `train s0`, `evaluate mmd s0`
  Json spec;          ///< all that a host needs
  bool done = false;
  std::string reason;  ///< why it is to do; or, of a stage that is done, what is worth knowing
};

/// One seed of the experiment: its stages by index, and its folder in results/NAME ("" for a single seed).
struct Cell {
  std::int64_t seed;
  std::string folder;
  std::vector<std::size_t> stages;
};

struct Plan {
  std::string name;
  std::vector<Stage> stages;  ///< every stage after those that it needs
  std::vector<Cell> cells;
};

/// Raised when the arithmetic of a stage changes, so that stored results are made again.
constexpr int numerics = 1;

/// The stages of an experiment, and which of them `results` holds. Throws Error where a stored stage was made with other defaults under
/// the same plugin version.
Plan make_plan(const Experiment& experiment, const fs::path& results);

/// Whether a stage's folder holds all that the spec asks for; if not, `why` says what is missing.
bool is_done(const fs::path& results, const Stage& stage, std::string& why);

}  // namespace scorelab::plan
