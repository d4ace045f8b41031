#include "checkpoint.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <fstream>
#include <sstream>

#include "catalog/sha256.h"

namespace scorelab::record {
namespace {

constexpr std::size_t user_block = 512;
const char* const mark = "scorelab-checkpoint sha256=";

void write_file(const fs::path& file, const Checkpoint& c) {
  {
    const Handle h5 = create_file(file, user_block);
    attribute(h5, "format", std::string("scorelab-checkpoint"));
    attribute(h5, "step", c.step);
    attribute(h5, "wall", c.wall);
    attribute(h5, "resolved", c.resolved.dump());
    for (const auto& [path, arrays] : c.groups) {
      std::vector<Handle> open;
      hid_t parent = h5;
      std::stringstream parts(path);
      for (std::string part; std::getline(parts, part, '/');)
        parent = open.emplace_back(exists(parent, part) ? open_group(parent, part) : create_group(parent, part));
      for (const auto& [name, array] : arrays) write(parent, name, array);
    }
  }
  const std::string sum = mark + sha256_file(file, user_block) + "\n";
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.write(sum.data(), static_cast<std::streamsize>(sum.size()));
  out.close();
  if (!out) throw Error("cannot write " + file.string());
}

void read_groups(hid_t group, const std::string& path, Checkpoint& c) {
  for (const auto& name : names(group)) {
    const Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose, "open " + name);
    if (H5Iget_type(object) == H5I_GROUP)
      read_groups(object, path.empty() ? name : path + "/" + name, c);
    else
      c.groups[path].emplace_back(name, read(group, name));
  }
}

Checkpoint read_file(const fs::path& file) {
  std::string first(user_block, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(first.data(), static_cast<std::streamsize>(first.size()));
  const std::string expected = first.substr(0, first.find('\n'));
  if (!in || expected.rfind(mark, 0) != 0) throw Error(file.filename().string() + " is truncated or no checkpoint");
  if (mark + sha256_file(file, user_block) != expected) throw Error(file.filename().string() + " is damaged: its checksum does not hold");
  Checkpoint c;
  const Handle h5 = open_file(file);
  c.step = read_integer(h5, "step");
  c.wall = read_number(h5, "wall");
  c.resolved = Json::parse(read_text(h5, "resolved"));
  read_groups(h5, "", c);
  return c;
}

}  // namespace

void save_checkpoint(const fs::path& folder, const Checkpoint& checkpoint) {
  const fs::path file = folder / "checkpoint.h5", before = folder / "checkpoint.previous.h5", fresh = folder / ".checkpoint.new.h5";
  replace_whole(fresh, [&](const fs::path& temporary) { write_file(temporary, checkpoint); });
  if (fs::exists(file)) fs::rename(file, before);
  fs::rename(fresh, file);
}

std::optional<Checkpoint> load_checkpoint(const fs::path& folder, const std::function<void(const std::string&)>& damaged) {
  for (const char* name : {"checkpoint.h5", "checkpoint.previous.h5"}) {
    if (!fs::exists(folder / name)) continue;
    try {
      return read_file(folder / name);
    } catch (const Error& e) {
      // Out of the way, so that it never takes the place of the good one before.
      fs::rename(folder / name, folder / (std::string(name) + ".damaged"));
      damaged(e.what());
    }
  }
  return {};
}

}  // namespace scorelab::record
