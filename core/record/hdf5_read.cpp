#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>

#include "record/hdf5.h"
#include "record/hdf5_contents.h"

namespace scorelab::record {
namespace {

/// Far beyond what any file of ours needs.
constexpr int deepest = 32;
constexpr std::size_t most_objects = 1000000, longest_text = std::size_t{1} << 28;
/// deflate packs no more than 1032 : 1.
constexpr double densest = 1100, spare_bytes = 1 << 20;

std::string file_of(hid_t object) {
  std::string out(static_cast<std::size_t>(std::max<ssize_t>(0, H5Fget_name(object, nullptr, 0))),
                  '\0');
  H5Fget_name(object, out.data(), out.size() + 1);
  return out.empty() ? "an HDF5 file" : out;
}

[[noreturn]] void refuse(hid_t object, const std::string& what) {
  throw Damaged(file_of(object), fmt::format("{} is refused: {}", file_of(object), what));
}

void good(herr_t status, hid_t object, const std::string& what) {
  if (status >= 0) return;
  if (const int error = hdf5_errno(); error != 0) throw io_error("read", file_of(object), error);
  throw Damaged(file_of(object), "HDF5 failed to " + what);
}

/// The link must be a hard one: others lead out of the file.
void follow(hid_t parent, const std::string& name) {
  H5L_info_t link;
  if (name.find('/') != name.npos || H5Lget_info(parent, name.c_str(), &link, H5P_DEFAULT) < 0)
    throw Damaged(file_of(parent), fmt::format("it holds no `{}`", name));
  if (link.type != H5L_TYPE_HARD)
    refuse(parent, fmt::format("`{}` is a link out of its place (soft or external)", name));
}

Handle open_data(hid_t parent, const std::string& name) {
  follow(parent, name);
  Handle data(H5Dopen2(parent, name.c_str(), H5P_DEFAULT), H5Dclose, "open " + name);
  const Handle creation(H5Dget_create_plist(data), H5Pclose, "read the layout of " + name);
  if (const auto layout = H5Pget_layout(creation);
      layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
    refuse(parent, fmt::format("`{}` is stored in other files", name));
  if (H5Pget_external_count(creation) != 0)
    refuse(parent, fmt::format("`{}` is stored in other files", name));
  for (int i = 0, n = H5Pget_nfilters(creation); i < n; ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values,
                                               nullptr, 0, nullptr, &config);
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
        filter != H5Z_FILTER_FLETCHER32)
      refuse(parent, fmt::format("`{}` uses the filter {}; expected deflate, shuffle or fletcher32",
                                 name, static_cast<int>(filter)));
  }
  return data;
}

struct Extent {
  std::vector<std::int64_t> shape;
  std::size_t count = 1;
};

/// The shape of an array whose elements have `size` bytes in memory; more than the file can hold or
/// the machine has is refused.
Extent extent_of(hid_t parent, hid_t data, const std::string& name, std::size_t size) {
  const Handle space(H5Dget_space(data), H5Sclose, "read the shape of " + name);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (H5Sget_simple_extent_type(space) == H5S_NULL || rank < 0 || rank > deepest)
    refuse(parent, fmt::format("`{}` has no shape", name));
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  if (rank > 0)
    good(H5Sget_simple_extent_dims(space, dims.data(), nullptr), parent,
         "read the shape of " + name);
  Extent out;
  struct stat s {};
  const double bytes_of_file =
      stat(file_of(parent).c_str(), &s) == 0 ? static_cast<double>(s.st_size) : 0;
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  double bytes = static_cast<double>(size);
  for (const hsize_t d : dims) bytes *= static_cast<double>(d);
  if (bytes > densest * bytes_of_file + spare_bytes || bytes > memory)
    refuse(parent, fmt::format("`{}` is said to be [{}], {:.3g} bytes, in a file of {:.3g}; this "
                               "machine has {:.3g} of memory",
                               name, fmt::join(dims, ", "), bytes, bytes_of_file, memory));
  for (const hsize_t d : dims) {
    out.shape.push_back(static_cast<std::int64_t>(d));
    out.count *= static_cast<std::size_t>(d);
  }
  return out;
}

hid_t in_memory(Array::Type type) {
  switch (type) {
    case Array::Type::f32:
      return H5T_NATIVE_FLOAT;
    case Array::Type::f64:
      return H5T_NATIVE_DOUBLE;
    case Array::Type::i64:
      return H5T_NATIVE_INT64;
    case Array::Type::u8:
      return H5T_NATIVE_UINT8;
  }
  return -1;
}

Array read_data(hid_t parent, hid_t data, const std::string& name) {
  const Handle type(H5Dget_type(data), H5Tclose, "read the type of " + name);
  const auto what = H5Tget_class(type);
  const std::size_t size = H5Tget_size(type);
  if ((what != H5T_FLOAT && what != H5T_INTEGER) || size == 0 || size > 8)
    refuse(parent, fmt::format("`{}` holds no numbers", name));
  Array out;
  out.type =
      what == H5T_FLOAT
          ? (size <= 4 ? Array::Type::f32 : Array::Type::f64)
          : (size == 1 && H5Tget_sign(type) == H5T_SGN_NONE ? Array::Type::u8 : Array::Type::i64);
  Extent extent = extent_of(parent, data, name, Array::size_of(out.type));
  out.shape = std::move(extent.shape);
  out.bytes.resize(extent.count * Array::size_of(out.type));
  if (!out.bytes.empty())
    good(H5Dread(data, in_memory(out.type), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.bytes.data()),
         parent, "read " + name);
  return out;
}

/// Where HDF5 puts the strings of an array: many elements may name one long string, and each is a
/// copy.
struct TextMemory {
  std::size_t left = longest_text;
  std::vector<void*> blocks;

  TextMemory() = default;
  TextMemory(const TextMemory&) = delete;
  TextMemory& operator=(const TextMemory&) = delete;
  ~TextMemory() {
    for (void* block : blocks) std::free(block);
  }
  static void* take(std::size_t size, void* self) {
    auto& memory = *static_cast<TextMemory*>(self);
    if (size > memory.left) return nullptr;
    memory.left -= size;
    return memory.blocks.emplace_back(std::malloc(std::max<std::size_t>(1, size)));
  }
  static void leave(void*, void*) {}  // all at once, at the end
};

bool is_text(hid_t type) { return H5Tget_class(type) == H5T_STRING; }

std::vector<std::string> read_strings(hid_t parent, hid_t data, const std::string& name) {
  const Handle type(H5Dget_type(data), H5Tclose, "read the type of " + name);
  if (H5Tis_variable_str(type) <= 0)
    refuse(parent, fmt::format("`{}` holds strings of fixed length", name));
  const Extent extent = extent_of(parent, data, name, sizeof(char*));
  std::vector<char*> pointers(extent.count, nullptr);
  if (pointers.empty()) return {};
  TextMemory memory;
  const Handle transfer(H5Pcreate(H5P_DATASET_XFER), H5Pclose, "make transfer properties");
  good(H5Pset_vlen_mem_manager(transfer, TextMemory::take, &memory, TextMemory::leave, &memory),
       parent, "bound the strings of " + name);
  good(H5Dread(data, type, H5S_ALL, H5S_ALL, transfer, pointers.data()), parent, "read " + name);
  std::vector<std::string> out;
  for (const char* text : pointers) out.emplace_back(text ? text : "");
  return out;
}

Handle open_attribute(hid_t object, const std::string& name) {
  if (H5Aexists(object, name.c_str()) <= 0)
    throw Damaged(file_of(object), fmt::format("it holds no attribute `{}`", name));
  return {H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "open the attribute " + name};
}

std::size_t points_of(hid_t a) {
  const Handle space(H5Aget_space(a), H5Sclose, "read the shape of an attribute");
  const auto n = H5Sget_simple_extent_npoints(space);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

/// An attribute's line; empty for what HDF5's own conventions add (dimension scales, images).
std::string attribute_line(hid_t object, const std::string& name) {
  const Handle a = open_attribute(object, name), type(H5Aget_type(a), H5Tclose, "read a type");
  const std::size_t size = H5Tget_size(type), n = points_of(a);
  const auto what = H5Tget_class(type);
  if (what == H5T_STRING && H5Tis_variable_str(type) > 0 && n == 1)
    return line_of({read_text(object, name)});
  if ((what != H5T_INTEGER && what != H5T_FLOAT) || n > 65536 || (size != 1 && size != 8))
    return "";
  const bool real = what == H5T_FLOAT;
  if (size == 1) {
    std::vector<std::uint8_t> values(n);
    good(H5Aread(a, H5T_NATIVE_UINT8, values.data()), object, "read the attribute " + name);
    return line_of(values.data(), n);
  }
  std::vector<std::int64_t> values(n);
  good(H5Aread(a, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, values.data()), object,
       "read the attribute " + name);
  return line_of(values.data(), n);
}

herr_t collect(hid_t, const char* name, const H5A_info_t*, void* list) {
  static_cast<std::vector<std::string>*>(list)->emplace_back(name);
  return 0;
}

/// Goes through a file to its last object, once each.
class Walk {
 public:
  /// `contents`: what is read on the way; null: only the structure is looked at. `group`: as of
  /// open_verified.
  explicit Walk(Contents* contents, std::string group = "")
      : contents_(contents), group_(std::move(group)) {}

  void group(hid_t group, const std::string& path, int depth) {
    if (depth > deepest)
      refuse(group, fmt::format("its groups are nested more than {} deep", deepest));
    once(group);
    attributes(group, path);
    for (const auto& name : names(group)) {
      follow(group, name);
      const std::string own = path + "/" + name;
      H5O_info_t info;
      good(H5Oget_info_by_name(group, name.c_str(), &info, H5P_DEFAULT), group, "look at " + own);
      if (info.type == H5O_TYPE_GROUP) {
        const Handle inner(H5Gopen2(group, name.c_str(), H5P_DEFAULT), H5Gclose,
                           "open the group " + own);
        this->group(inner, own, depth + 1);
      } else if (info.type == H5O_TYPE_DATASET) {
        const Handle data = open_data(group, name);
        once(data);
        this->data(group, data, own);
      } else {
        refuse(group, fmt::format("`{}` is neither a group nor an array", own));
      }
    }
  }

 private:
  void once(hid_t object) {
    H5O_info_t info;
    good(H5Oget_info(object, &info), object, "look at an object");
    if (!seen_.insert(info.addr).second) refuse(object, "two names lead to one object");
    if (seen_.size() > most_objects)
      refuse(object, fmt::format("it holds more than {} objects", most_objects));
  }

  void data(hid_t parent, hid_t data, const std::string& path) {
    attributes(data, path);
    if (!contents_) return;
    if (!group_.empty() && path.find('/', 1) != path.npos &&
        path.rfind("/" + group_ + "/", 0) != 0 && H5Aexists(data, line_name) > 0)
      return contents_->add(path, read_text(data, line_name));
    const Handle type(H5Dget_type(data), H5Tclose, "read the type of " + path);
    contents_->add(path, is_text(type) ? line_of(read_strings(parent, data, path))
                                       : line_of(read_data(parent, data, path)));
  }

  void attributes(hid_t object, const std::string& path) {
    std::vector<std::string> all;
    good(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &all), object,
         "list attributes");
    if (!contents_) return;
    for (const auto& name : all) {
      if (path.empty() && name == digest_name) continue;
      if (const std::string line = attribute_line(object, name); !line.empty())
        contents_->add(path + "@" + name, line);
    }
  }

  Contents* contents_;
  std::string group_;
  std::set<haddr_t> seen_;
};

Handle opened(const fs::path& file) {
  // HDF5 says the same of a missing file and of a damaged one, and would wait for the writer of a
  // pipe.
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw io_error("open", file, errno);
  struct stat about {};
  const bool regular = fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
  close(fd);
  if (!regular) throw Damaged(file, "it is no regular file");
  const hid_t h5 = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (h5 >= 0) return {h5, H5Fclose, ""};
  if (const int error = hdf5_errno(); error != 0) throw io_error("open", file, error);
  throw Damaged(file, "HDF5 cannot open it");
}

herr_t find_errno(unsigned, const H5E_error2_t* e, void* out) {
  const std::string text = e->desc ? e->desc : "", mark = "errno = ";
  if (const auto at = text.find(mark); at != text.npos)
    *static_cast<int*>(out) = std::atoi(text.c_str() + at + mark.size());
  return 0;
}

}  // namespace

int hdf5_errno() {
  int error = 0;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, find_errno, &error);
  return error;
}

void hdf5_failed(const std::string& what) {
  if (const int error = hdf5_errno(); error != 0)
    throw IoError(fmt::format("cannot {}: {}", what, cause_of(error)));
  throw Error("HDF5 failed to " + what);
}

std::string Contents::digest() const {
  std::string all;
  for (const auto& [path, line] : lines_) all += path + "\n" + line + "\n";
  return sha256(all);
}

std::string Contents::differs(const Contents& other) const {
  for (const auto& [path, line] : lines_)
    if (const auto it = other.lines_.find(path); it == other.lines_.end() || it->second != line)
      return path;
  for (const auto& [path, line] : other.lines_)
    if (!lines_.contains(path)) return path;
  return "";
}

std::string line_of(const Array& a) {
  return fmt::format("{} [{}] {}", static_cast<int>(a.type), fmt::join(a.shape, ","),
                     sha256({reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size()}));
}

std::string line_of(const std::vector<std::string>& strings) {
  std::string all;
  // HDF5 keeps a string up to its first NUL
  for (const auto& s : strings) {
    all += s.c_str();
    all += '\0';
  }
  return fmt::format("{} strings {}", strings.size(), sha256(all));
}

namespace {

/// What HDF5 refuses to open on the way is damaged, unless the system is to blame.
template <class F>
auto or_damaged(const fs::path& file, F&& read) {
  try {
    return read();
  } catch (const IoError&) {
    throw;
  } catch (const Damaged&) {
    throw;
  } catch (const Error& e) {
    throw Damaged(file, e.what());
  }
}

}  // namespace

namespace {

void walk(const fs::path& file, hid_t h5, Contents* contents, const std::string& group = "") {
  or_damaged(file, [&] {
    Walk(contents, group)
        .group(Handle(H5Gopen2(h5, "/", H5P_DEFAULT), H5Gclose, "open " + file.string()), "", 0);
  });
}

}  // namespace

Contents contents_of(const fs::path& file) {
  Contents out;
  walk(file, opened(file), &out);
  return out;
}

Handle open_file(const fs::path& file) {
  Handle out = opened(file);
  walk(file, out, nullptr);
  return out;
}

Handle open_verified(const fs::path& file, const std::string& group) {
  Contents contents;
  Handle out = opened(file);
  walk(file, out, &contents, group);
  if (H5Aexists(out, digest_name) <= 0) throw Damaged(file, "it carries no checksum");
  if (read_text(out, digest_name) != contents.digest())
    throw Damaged(file, "its checksum does not hold");
  return out;
}

Handle open_group(hid_t parent, const std::string& name) {
  follow(parent, name);
  return {H5Gopen2(parent, name.c_str(), H5P_DEFAULT), H5Gclose, "open the group " + name};
}

bool exists(hid_t parent, const std::string& name) {
  return H5Lexists(parent, name.c_str(), H5P_DEFAULT) > 0;
}

bool is_group(hid_t parent, const std::string& name) {
  follow(parent, name);
  H5O_info_t info;
  good(H5Oget_info_by_name(parent, name.c_str(), &info, H5P_DEFAULT), parent, "look at " + name);
  return info.type == H5O_TYPE_GROUP;
}

std::vector<std::string> names(hid_t group) {
  std::vector<std::string> out;
  const auto add = [](hid_t, const char* name, const H5L_info_t*, void* list) -> herr_t {
    static_cast<std::vector<std::string>*>(list)->emplace_back(name);
    return static_cast<std::vector<std::string>*>(list)->size() > most_objects ? -1 : 0;
  };
  if (H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, nullptr, add, &out) >= 0) return out;
  out.clear();  // another program's file: its order was not tracked
  good(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &out), group, "list a group");
  return out;
}

Array read(hid_t parent, const std::string& name) {
  return read_data(parent, open_data(parent, name), name);
}

Array read(hid_t parent, const std::string& name, const std::vector<Array::Type>& types,
           std::size_t rank) {
  Array out = read(parent, name);
  if (std::find(types.begin(), types.end(), out.type) == types.end() || out.shape.size() != rank ||
      std::any_of(out.shape.begin(), out.shape.end(), [](auto d) { return d < 1; }))
    refuse(parent, fmt::format("`{}` is [{}] of another type or shape than expected", name,
                               fmt::join(out.shape, ", ")));
  return out;
}

std::int64_t read_integer(hid_t object, const std::string& name) {
  const Handle a = open_attribute(object, name), type(H5Aget_type(a), H5Tclose, "read a type");
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) > 8 || points_of(a) != 1)
    refuse(object, fmt::format("the attribute `{}` is not one integer", name));
  std::int64_t value = 0;
  good(H5Aread(a, H5T_NATIVE_INT64, &value), object, "read the attribute " + name);
  return value;
}

double read_number(hid_t object, const std::string& name) {
  const Handle a = open_attribute(object, name), type(H5Aget_type(a), H5Tclose, "read a type");
  const auto what = H5Tget_class(type);
  if ((what != H5T_INTEGER && what != H5T_FLOAT) || H5Tget_size(type) > 8 || points_of(a) != 1)
    refuse(object, fmt::format("the attribute `{}` is not one number", name));
  double value = 0;
  good(H5Aread(a, H5T_NATIVE_DOUBLE, &value), object, "read the attribute " + name);
  return value;
}

std::string read_text(hid_t object, const std::string& name) {
  const Handle a = open_attribute(object, name), type(H5Aget_type(a), H5Tclose, "read a type");
  if (!is_text(type) || points_of(a) != 1)
    refuse(object, fmt::format("the attribute `{}` is not one string", name));
  if (H5Tis_variable_str(type) <= 0) {
    const std::size_t size = H5Tget_size(type);
    if (size > longest_text)
      refuse(object, fmt::format("the attribute `{}` has {} bytes", name, size));
    std::string out(size, '\0');
    good(H5Aread(a, type, out.data()), object, "read the attribute " + name);
    return out.c_str();
  }
  char* text = nullptr;
  good(H5Aread(a, type, &text), object, "read the attribute " + name);
  const std::string out = text ? text : "";
  H5free_memory(text);
  return out;
}

}  // namespace scorelab::record
