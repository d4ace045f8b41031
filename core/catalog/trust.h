#pragma once
#include <filesystem>
#include <string>

/// Plugins are programs: a folder of them is loaded only where the user has said so.
namespace scorelab::catalog {

/// Whether this folder, or one above it, was trusted before or stands in SCORELAB_TRUST (a
/// colon-separated list).
bool is_trusted(const std::filesystem::path& folder);
/// Remembers it in $XDG_CONFIG_HOME/scorelab/trusted (by default ~/.config), a path a line. Throws
/// Error.
void trust(const std::filesystem::path& folder);

/// The same for this program and those that it starts: the folder stood on the command line.
void trust_for_now(const std::filesystem::path& folder);

/// A plugin's file that was loaded from scorelab's own or a trusted folder, by its SHA-256: copies
/// of it may be loaded too, wherever they lie.
bool is_known_program(const std::string& sha256);
/// In $XDG_CONFIG_HOME/scorelab/programs; where that cannot be written, for this call and its
/// hosts.
void remember_program(const std::string& sha256);

}  // namespace scorelab::catalog
