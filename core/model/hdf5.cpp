#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>

#include <algorithm>

#include "model/array_files.h"
#include "model/stored_array.h"

namespace scorelab {
namespace {

/// The paths of all arrays below a group.
void list(hid_t group, const std::string& path, std::vector<std::string>& out) {
  for (const auto& name : record::names(group)) {
    if (record::is_group(group, name))
      list(record::open_group(group, name), path + name + "/", out);
    else
      out.push_back(path + name);
  }
}

at::Tensor at_path(hid_t group, const std::string& path) {
  const auto slash = path.find('/');
  if (slash == path.npos) return to_tensor(record::read(group, path));
  return at_path(record::open_group(group, path.substr(0, slash)), path.substr(slash + 1));
}

}  // namespace

at::Tensor read_hdf5(const std::filesystem::path& file, const std::string& name) {
  const record::Handle h5 = record::open_file(file);
  std::vector<std::string> all;
  list(h5, "", all);
  const std::string wanted = name.starts_with('/') ? name.substr(1) : name;
  if (all.empty()) throw Error(file.string() + " holds no arrays");
  if (wanted.empty() && all.size() != 1)
    throw Error(fmt::format("{} holds {} arrays: {}; say which: `array`", file.string(), all.size(),
                            fmt::join(all, ", ")));
  if (wanted.empty()) return at_path(h5, all[0]);
  if (std::find(all.begin(), all.end(), wanted) == all.end())
    throw Error(fmt::format("{} holds no array `{}`; it holds {}", file.string(), wanted,
                            fmt::join(all, ", ")));
  return at_path(h5, wanted);
}

}  // namespace scorelab
