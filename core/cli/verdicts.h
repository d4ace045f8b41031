#pragma once
#include <vector>

#include "cli/command.h"
#include "manifest/check.h"

namespace scorelab::cli {

using Doubts = std::vector<manifest::Doubt>;

/// Reports what the plugins themselves find wrong: with their parameters, and, where nothing else
/// is wrong, with the parts together. `of_cells`: the doubts of each cell. Good verdicts are
/// remembered in the catalog. Gives what the networks weigh, each once: [{"name", "parameters",
/// "multiply_adds"}].
Json ask_plugins(const std::vector<Doubts>& of_cells, const std::vector<plan::CellPlan>& cells,
                 catalog::Catalog& catalog, manifest::Findings& findings);

}  // namespace scorelab::cli
