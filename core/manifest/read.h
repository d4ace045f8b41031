#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "manifest/tree.h"

namespace scorelab::manifest {

/// A manifest's file, parsed; nothing and a diagnostic if it is missing or no TOML.
std::optional<Node> read_file(const std::filesystem::path& file, Sources& sources,
                              std::vector<Diagnostic>& problems);

/// The same with what it extends, merged: later files win, and the manifest itself over all. `NAME
/// = false` removes a table that an extended file brought.
std::optional<Node> read_manifest(const std::filesystem::path& file, Sources& sources,
                                  std::vector<Diagnostic>& problems);

/// `key=value` of -s: a dotted key; a value that does not parse as TOML is a string. `key:=value`
/// replaces a table whole.
std::optional<Node> read_override(const std::string& argument, Sources& sources,
                                  std::vector<Diagnostic>& problems);

/// `key=v1,v2` of -x: an axis that is called after the last part of the key, or by the whole key
/// where an axis has that name (`taken`).
std::optional<Node> read_axis(const std::string& argument, const std::vector<std::string>& taken,
                              Sources& sources, std::vector<Diagnostic>& problems);

}  // namespace scorelab::manifest
