#pragma once
#include <filesystem>
#include <string>

namespace scorelab {

/// The file or folder `name` in the data path (SCORELAB_DATA, a colon-separated list; by default data, then
/// ${XDG_DATA_HOME:-~/.local/share}/scorelab; last, what scorelab ships). Throws Error that names the folders searched, or, where the
/// component did not declare it by Params::reads, what to declare.
std::filesystem::path find_data(const std::string& name);

}  // namespace scorelab
