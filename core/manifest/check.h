#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "manifest/values.h"

namespace scorelab::manifest {

/// One experiment, checked, with every default filled in. A component is
///   {"plugin", "kind", "version", "id", "file", "sha256", "params": {..},
///    "files": {path: sha256 of what it reads},
///    "key": {active parameters that differ from their default, and "$files" for what it reads}}
/// and `id` is what its stage's key names: name@version, or the source's hash for a plugin from
/// elsewhere. A metric has "of": what it measures, "model" or "samples".
struct Experiment {
  /// its network is a classifier
  bool classifies = false;
  /// its network takes conditions
  bool conditional = false;
  /// null where not asked for
  Json dataset, scheduler, network, output, objective, train, sampler, sample, run;
  /// null: the data set's range
  Json space;
  /// a share of the data set, or another data set; null: nothing is held out
  Json holdout;
  Json guides = Json::array();    ///< components, each with its "label", in order
  Json metrics = Json::object();  ///< label -> component
  Json files = Json::object();    ///< path -> SHA-256, of all that is read beside plugins
  Json keys = Json::object();     ///< of output, train, sample, run: what differs from the default
  /// `[models.NAME]` that something names, and those that they name; of a model, `sample` says
  /// which weights are used, and its seed.
  std::map<std::string, std::shared_ptr<const Experiment>> models;
};

/// Where a component's key names a model: {model_mark: NAME}.
constexpr const char* model_mark = "$model";

/// Something that only the plugin itself can say: whether its parameters go together.
struct Doubt {
  Json component;
  Position at;
};

struct Checked {
  Experiment experiment;  ///< whole if there are no problems
  /// keys that it has no use for, and why: beside an overridden plugin, or used by other cells
  std::vector<std::string> left_out;
  std::vector<Doubt> doubts;  ///< every component, for the host's verdict
};

/// Checks one merged experiment to the last key against the catalog's schemas; all that is wrong
/// goes to the findings.
Checked check(const Node& root, catalog::Catalog& catalog, Findings& findings);

}  // namespace scorelab::manifest
