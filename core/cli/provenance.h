#pragma once
#include <filesystem>

#include "manifest/check.h"

namespace scorelab::cli {

/// Where results come from: git, host, CPU, versions, plugins, command line.
schema::Json provenance(const manifest::Experiment& experiment, const std::filesystem::path& folder, const std::string& command);

}  // namespace scorelab::cli
