#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "catalog/catalog.h"
#include "manifest/values.h"

/// The plugins that a manifest names.
namespace scorelab::manifest {

/// The name of a plugin of this kind that needs nothing of the other parts, for hints.
std::string example(const std::string& kind, catalog::Catalog& catalog);

/// The plugin of one of these kinds that `node` names: a string, or a table with `plugin`. Null
/// where there is no such plugin, or several: the findings say so, of the key `what`.
const catalog::Entry* find_plugin(const std::string& what, const std::vector<std::string>& kinds,
                                  const Node& node, const catalog::Catalog& catalog,
                                  Findings& findings);

/// Learns the schemas of all plugins that these experiments name, with one start of the host.
void learn_schemas(const std::vector<const Node*>& experiments, catalog::Catalog& catalog);

/// The folders of `plugins = [..]`, relative to the file that names them, and where that stands.
std::vector<std::pair<std::filesystem::path, Position>> plugin_folders(const Node& root,
                                                                       const Sources& sources);

}  // namespace scorelab::manifest
