#include "checkpoint.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <sstream>

namespace scorelab::record {
namespace {

/// `only`: the one group that is wanted; empty: all.
void read_groups(hid_t group, const std::string& path, const std::string& only, Checkpoint& c) {
  for (const auto& name : names(group))
    if (is_group(group, name))
      read_groups(open_group(group, name), path.empty() ? name : path + "/" + name, only, c);
    else if (only.empty() || path == only)
      c.groups[path].emplace_back(name, read(group, name));
}

Checkpoint read_file(const fs::path& folder, const fs::path& file, const std::string& only) {
  Checkpoint c;
  const Handle h5 = open_verified(file, only);
  if (read_text(h5, "stage") != stage_of(folder)) throw Damaged(file, "it is of another training");
  c.step = read_integer(h5, "step");
  c.wall = read_number(h5, "wall");
  c.resolved = Json::parse(read_text(h5, "resolved"), nullptr, false);
  if (!c.resolved.is_object()) throw Damaged(file, "`resolved` is no JSON");
  read_groups(h5, "", only, c);
  return c;
}

/// A second name for a file, in another folder; where the file system has no such names, a copy.
void name_also(const fs::path& file, const fs::path& other) {
  replace_whole(other, [&](const fs::path& temporary) {
    std::error_code no_link;
    fs::create_hard_link(file, temporary, no_link);
    if (!no_link) return;
    std::error_code failed;
    if (!fs::copy_file(file, temporary, failed)) throw io_error("copy", file, failed.value());
    open_verified(temporary);
  });
}

}  // namespace

void save_checkpoint(const fs::path& folder, const Checkpoint& c, const fs::path& keep_in) {
  const fs::path file = folder / "checkpoint.h5", before = folder / "checkpoint.previous.h5",
                 fresh = folder / ".checkpoint.new.h5";
  write_hdf5(fresh, [&](hid_t h5) {
    attribute(h5, "format", std::string("scorelab-checkpoint"));
    attribute(h5, "stage", stage_of(folder));
    attribute(h5, "step", c.step);
    attribute(h5, "wall", c.wall);
    attribute(h5, "resolved", c.resolved.dump());
    for (const auto& [path, arrays] : c.groups) {
      std::vector<Handle> open;
      hid_t parent = h5;
      std::stringstream parts(path);
      for (std::string part; std::getline(parts, part, '/');)
        parent = open.emplace_back(exists(parent, part) ? open_group(parent, part)
                                                        : create_group(parent, part));
      for (const auto& [name, array] : arrays) write(parent, name, array, Storage::plain);
    }
  });
  if (!keep_in.empty()) name_also(fresh, keep_in / "checkpoint.h5");
  if (fs::exists(file)) rename_file(file, before);
  rename_file(fresh, file);
}

std::optional<Checkpoint> load_checkpoint(const fs::path& folder,
                                          const std::function<void(const std::string&)>& damaged,
                                          const std::string& group) {
  for (const char* name : {"checkpoint.h5", "checkpoint.previous.h5"}) {
    if (!fs::exists(folder / name)) continue;
    try {
      return read_file(folder, folder / name, group);
    } catch (const Damaged& e) {
      // Out of the way, so that it never takes the place of the good one before.
      rename_file(folder / name, folder / (std::string(name) + ".damaged"));
      damaged(e.what());
    }
  }
  return {};
}

}  // namespace scorelab::record
