#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "manifest/tree.h"

namespace scorelab::manifest {

using schema::Json;

/// One experiment, checked, with every default filled in. A component is
///   {"plugin", "kind", "version", "id", "file", "sha256", "params": {..}, "key": {active parameters that differ from their default}}
/// and `id` is what its stage's key names: name@version, or the source's hash for a plugin from elsewhere.
struct Experiment {
  std::string name, question;
  std::vector<std::int64_t> seeds{0};
  Json dataset, scheduler, network, output, objective, train, sampler, sample, run;  ///< null where not asked for
  Json guides = Json::array();                                                       ///< components, each with its "label", in order
  Json metrics = Json::object();                                                     ///< label -> component
  Json keys = Json::object();  ///< of output, train, sample, run: what differs from the default
};

/// Something that only the plugin itself can say: whether its parameters go together.
struct Doubt {
  Json component;
  Position at;
};

struct Checked {
  std::optional<Experiment> experiment;  ///< if there are no problems
  std::vector<Diagnostic> problems;
  std::vector<std::string> left_out;  ///< keys of the file that a plugin named by an override does not declare
  std::vector<Doubt> doubts;          ///< every component, for the host's verdict
};

/// Checks a merged manifest to the last key against the catalog's schemas; reports all that is wrong. `folder` is the manifest's, to
/// which its paths are relative; `name` is used where it gives none.
Checked check(const Node& root, catalog::Catalog& catalog, const std::filesystem::path& folder, const std::string& name);

/// The folders of `plugins = [..]`, relative to the manifest's.
std::vector<std::filesystem::path> plugin_folders(const Node& root, const std::filesystem::path& folder);

}  // namespace scorelab::manifest
