#pragma once
#include <filesystem>

#include "plan/plan.h"

namespace scorelab::cli {

/// Where results come from: git, host, CPU, versions, plugins, command line.
schema::Json provenance(const std::vector<plan::CellPlan>& cells,
                        const std::filesystem::path& folder, const std::string& command);

}  // namespace scorelab::cli
