#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "manifest/tree.h"

namespace scorelab::manifest {

/// A manifest's file, parsed; nothing and a diagnostic if it is missing or no TOML.
std::optional<Node> read_file(const std::filesystem::path& file, Sources& sources, std::vector<Diagnostic>& problems);

/// `key=value` of -s: a dotted key; a value that does not parse as TOML is a string.
std::optional<Node> read_override(const std::string& argument, Sources& sources, std::vector<Diagnostic>& problems);

}  // namespace scorelab::manifest
