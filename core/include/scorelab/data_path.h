#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace scorelab {

/// The file or folder `name` in the data path (SCORELAB_DATA, a colon-separated list; by default
/// data, then ${XDG_DATA_HOME:-~/.local/share}/scorelab; last, what scorelab ships). Throws Error
/// that names the folders searched, or, where the component did not declare it by Params::reads,
/// what to declare.
std::filesystem::path find_data(const std::string& name);
/// The files that a pattern with `*` in its last part stands for, such as
/// `cifar10/data_batch_*.bin`, sorted by name: those that the experiment was planned with, whatever
/// has come into the folder since. Throws Error where there are none.
std::vector<std::filesystem::path> find_files(const std::string& pattern);

}  // namespace scorelab
