#include "hdf5.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hdf5_hl.h>
#include <scorelab/error.h>

#include <cstring>

#include "params/sha256.h"
#include "record/hdf5_contents.h"

namespace scorelab::record {
namespace {

/// What is being written, and whether a handle of it failed to close: destructors cannot throw.
thread_local Contents* writing = nullptr;
thread_local bool failed_to_close = false;
thread_local int close_error = 0;

void good(herr_t status, const std::string& what) {
  if (status < 0) hdf5_failed(what);
}

hid_t stored(Array::Type type) {
  switch (type) {
    case Array::Type::f32:
      return H5T_IEEE_F32LE;
    case Array::Type::f64:
      return H5T_IEEE_F64LE;
    case Array::Type::i64:
      return H5T_STD_I64LE;
    case Array::Type::u8:
      return H5T_STD_U8LE;
  }
  return -1;
}

Handle space_of(const std::vector<std::int64_t>& shape) {
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  return {shape.empty() ? H5Screate(H5S_SCALAR)
                        : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
          H5Sclose, "make a data space"};
}

Handle text_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "make a string type");
  good(H5Tset_size(type, H5T_VARIABLE), "make a string type");
  good(H5Tset_cset(type, H5T_CSET_UTF8), "make a string type");
  return type;
}

std::string path_of(hid_t object) {
  std::string out(static_cast<std::size_t>(std::max<ssize_t>(0, H5Iget_name(object, nullptr, 0))),
                  '\0');
  H5Iget_name(object, out.data(), out.size() + 1);
  return out == "/" ? "" : out;
}

void note(hid_t parent, const std::string& name, const std::string& line) {
  if (writing) writing->add(path_of(parent) + "/" + name, line);
}

/// One value, or a list of them.
void put(hid_t object, const std::string& name, hid_t file_type, hid_t memory_type,
         const void* values, const std::vector<std::int64_t>& shape, const std::string& line) {
  const Handle space = space_of(shape);
  const Handle a(H5Acreate2(object, name.c_str(), file_type, space, H5P_DEFAULT, H5P_DEFAULT),
                 H5Aclose, "create the attribute " + name);
  good(H5Awrite(a, memory_type, values), "write the attribute " + name);
  if (writing) writing->add(path_of(object) + "@" + name, line);
}

template <class T>
void numbers(hid_t object, const std::string& name, const std::vector<T>& values, hid_t type,
             const std::vector<std::int64_t>& shape) {
  put(object, name, type, type, values.data(), shape, line_of(values.data(), values.size()));
}

/// What could not be closed is not closed again at exit. No error stack on stderr: failures are
/// thrown. No filter is loaded from a plugin folder because a file asks for it.
const bool quiet = H5dont_atexit() >= 0 && H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0 &&
                   H5PLset_loading_state(0) >= 0;

Handle create_file(const fs::path& file) {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "make access properties");
  good(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "set the format");
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "make creation properties");
  good(H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
       "track the order");
  return {H5Fcreate(file.c_str(), H5F_ACC_EXCL, creation, access), H5Fclose,
          "create " + file.string()};
}

}  // namespace

std::int64_t Array::count() const {
  std::int64_t n = 1;
  for (const auto d : shape) n *= d;
  return n;
}
Array Array::of(const std::vector<double>& v) {
  Array a{Type::f64, {static_cast<std::int64_t>(v.size())}, std::vector<std::byte>(v.size() * 8)};
  if (!v.empty()) std::memcpy(a.bytes.data(), v.data(), a.bytes.size());
  return a;
}
Array Array::of(const std::vector<std::int64_t>& v) {
  Array a{Type::i64, {static_cast<std::int64_t>(v.size())}, std::vector<std::byte>(v.size() * 8)};
  if (!v.empty()) std::memcpy(a.bytes.data(), v.data(), a.bytes.size());
  return a;
}

Handle::Handle(hid_t id, herr_t (*close)(hid_t), const std::string& what) : id_(id), close_(close) {
  if (id < 0) hdf5_failed(what);
}
Handle::Handle(Handle&& o) noexcept : id_(std::exchange(o.id_, -1)), close_(o.close_) {}
Handle& Handle::operator=(Handle&& o) noexcept {
  std::swap(id_, o.id_);
  std::swap(close_, o.close_);
  return *this;
}
Handle::~Handle() {
  if (id_ < 0 || close_(id_) >= 0) return;
  if (!failed_to_close) close_error = hdf5_errno();
  failed_to_close = true;
}

void make_hdf5(const fs::path& file, const std::function<void(hid_t)>& write) {
  // each thread has its own
  good(H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr), "switch the error stack off");
  Contents contents;
  struct Writing {
    explicit Writing(Contents& c) {
      writing = &c;
      failed_to_close = false;
    }
    ~Writing() { writing = nullptr; }
  };
  {
    const Writing now(contents);
    {
      const Handle h5 = create_file(file);
      write(h5);
      writing = nullptr;
      attribute(h5, digest_name, contents.digest());
      good(H5Fflush(h5, H5F_SCOPE_GLOBAL), "write " + file.string());
    }
    if (failed_to_close && close_error != 0) throw io_error("close", file, close_error);
    if (failed_to_close) hdf5_failed("close " + file.string());
  }
  const std::string other = contents.differs(contents_of(file));
  if (!other.empty())
    throw IoError(
        fmt::format("cannot write {}: {} was read back otherwise than it was written; what was "
                    "there before is kept",
                    file.string(), other));
}

void write_hdf5(const fs::path& file, const std::function<void(hid_t)>& write) {
  replace_whole(file, [&](const fs::path& temporary) { make_hdf5(temporary, write); });
}

Handle create_group(hid_t parent, const std::string& name) {
  const Handle creation(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "make creation properties");
  good(H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
       "track the order");
  good(H5Pset_attr_phase_change(creation, 0, 0), "allow large attributes");
  return {H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose,
          "create the group " + name};
}

Handle write(hid_t parent, const std::string& name, const Array& array, Storage storage) {
  const Handle space = space_of(array.shape);
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "make creation properties");
  good(H5Pset_obj_track_times(creation, false), "leave times out");
  if (storage == Storage::packed && !array.shape.empty() && array.count() > 4096) {
    std::vector<hsize_t> chunk(array.shape.begin(), array.shape.end());
    hsize_t row = 1;
    for (std::size_t i = 1; i < chunk.size(); ++i) row *= chunk[i];
    chunk[0] = std::min<hsize_t>(chunk[0], std::max<hsize_t>(1, 131072 / row));
    good(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "set chunks");
    good(H5Pset_shuffle(creation), "set filters");
    good(H5Pset_deflate(creation, 1), "set filters");
  }
  Handle data(H5Dcreate2(parent, name.c_str(), stored(array.type), space, H5P_DEFAULT, creation,
                         H5P_DEFAULT),
              H5Dclose, "create " + name);
  if (array.count() > 0)
    good(H5Dwrite(data, stored(array.type), H5S_ALL, H5S_ALL, H5P_DEFAULT, array.bytes.data()),
         "write " + name);
  const std::string line = line_of(array);
  note(parent, name, line);
  if (storage == Storage::plain) attribute(data, line_name, line);
  return data;
}

Handle write(hid_t parent, const std::string& name, const std::vector<std::string>& strings) {
  const Handle type = text_type(), space = space_of({static_cast<std::int64_t>(strings.size())});
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "make creation properties");
  good(H5Pset_obj_track_times(creation, false), "leave times out");
  Handle data(H5Dcreate2(parent, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
              H5Dclose, "create " + name);
  std::vector<const char*> pointers;
  for (const auto& s : strings) pointers.push_back(s.c_str());
  if (!pointers.empty())
    good(H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()), "write " + name);
  note(parent, name, line_of(strings));
  return data;
}

void attribute(hid_t object, const std::string& name, const std::string& value) {
  const Handle type = text_type();
  const char* pointer = value.c_str();
  put(object, name, type, type, &pointer, {}, line_of({value}));
}
void attribute(hid_t object, const std::string& name, double value) {
  numbers(object, name, std::vector<double>{value}, H5T_IEEE_F64LE, {});
}
void attribute(hid_t object, const std::string& name, std::int64_t value) {
  numbers(object, name, std::vector<std::int64_t>{value}, H5T_STD_I64LE, {});
}

void attribute(hid_t object, const std::string& name, const Json& value) {
  if (value.is_boolean())
    return numbers(object, name, std::vector<std::uint8_t>{value.get<bool>()}, H5T_STD_U8LE, {});
  if (value.is_number_integer()) return attribute(object, name, value.get<std::int64_t>());
  if (value.is_number()) return attribute(object, name, value.get<double>());
  if (value.is_string()) return attribute(object, name, value.get<std::string>());
  const bool all =
      value.is_array() && !value.empty() &&
      std::all_of(value.begin(), value.end(), [](const Json& x) { return x.is_number(); });
  if (!all) return attribute(object, name, value.dump());
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(value.size())};
  if (std::all_of(value.begin(), value.end(), [](const Json& x) { return x.is_number_integer(); }))
    return numbers(object, name, value.get<std::vector<std::int64_t>>(), H5T_STD_I64LE, shape);
  numbers(object, name, value.get<std::vector<double>>(), H5T_IEEE_F64LE, shape);
}

void write_image(hid_t parent, const std::string& name, const Array& pixels) {
  good(H5IMmake_image_24bit(parent, name.c_str(), static_cast<hsize_t>(pixels.shape[1]),
                            static_cast<hsize_t>(pixels.shape[0]), "INTERLACE_PIXEL",
                            reinterpret_cast<const unsigned char*>(pixels.bytes.data())),
       "write the image " + name);
  note(parent, name, line_of(pixels));
}

void attach_scale(hid_t data, hid_t scale, unsigned axis) {
  good(H5DSattach_scale(data, scale, axis), "attach a dimension scale");
}
void make_scale(hid_t scale, const std::string& name) {
  good(H5DSset_scale(scale, name.c_str()), "make a dimension scale");
}

}  // namespace scorelab::record
