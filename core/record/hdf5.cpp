#include "hdf5.h"

#include <fmt/format.h>
#include <hdf5_hl.h>
#include <scorelab/error.h>

#include <cstring>

namespace scorelab::record {
namespace {

void good(herr_t status, const std::string& what) {
  if (status < 0) throw Error("HDF5 failed to " + what);
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
  return {shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose,
          "make a data space"};
}

Handle text_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "make a string type");
  good(H5Tset_size(type, H5T_VARIABLE), "make a string type");
  good(H5Tset_cset(type, H5T_CSET_UTF8), "make a string type");
  return type;
}

void scalar(hid_t object, const std::string& name, hid_t file_type, hid_t memory_type, const void* value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "make a data space");
  const Handle a(H5Acreate2(object, name.c_str(), file_type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, "create the attribute " + name);
  good(H5Awrite(a, memory_type, value), "write the attribute " + name);
}

/// No error stack on stderr: failures are thrown.
const herr_t quiet = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);

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
  if (id < 0) throw Error("HDF5 failed to " + what);
}
Handle::Handle(Handle&& o) noexcept : id_(std::exchange(o.id_, -1)), close_(o.close_) {}
Handle& Handle::operator=(Handle&& o) noexcept {
  std::swap(id_, o.id_), std::swap(close_, o.close_);
  return *this;
}
Handle::~Handle() {
  if (id_ >= 0) close_(id_);
}

Handle create_file(const fs::path& file, std::size_t user_block) {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "make access properties");
  good(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "set the format");
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "make creation properties");
  good(H5Pset_userblock(creation, user_block), "set the user block");
  good(H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED), "track the order");
  return {H5Fcreate(file.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose, "create " + file.string()};
}

Handle open_file(const fs::path& file) { return {H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "open " + file.string()}; }

Handle create_group(hid_t parent, const std::string& name) {
  const Handle creation(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "make creation properties");
  good(H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED), "track the order");
  good(H5Pset_attr_phase_change(creation, 0, 0), "allow large attributes");
  return {H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose, "create the group " + name};
}

Handle open_group(hid_t parent, const std::string& name) {
  return {H5Gopen2(parent, name.c_str(), H5P_DEFAULT), H5Gclose, "open the group " + name};
}
bool exists(hid_t parent, const std::string& name) { return H5Lexists(parent, name.c_str(), H5P_DEFAULT) > 0; }

std::vector<std::string> names(hid_t group) {
  std::vector<std::string> out;
  const auto add = [](hid_t, const char* name, const H5L_info_t*, void* list) -> herr_t {
    static_cast<std::vector<std::string>*>(list)->emplace_back(name);
    return 0;
  };
  good(H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, nullptr, add, &out), "list a group");
  return out;
}

Handle write(hid_t parent, const std::string& name, const Array& array) {
  const Handle space = space_of(array.shape);
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "make creation properties");
  good(H5Pset_obj_track_times(creation, false), "leave times out");
  if (!array.shape.empty() && array.count() > 4096) {
    std::vector<hsize_t> chunk(array.shape.begin(), array.shape.end());
    hsize_t row = 1;
    for (std::size_t i = 1; i < chunk.size(); ++i) row *= chunk[i];
    chunk[0] = std::min<hsize_t>(chunk[0], std::max<hsize_t>(1, 131072 / row));
    good(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "set chunks");
    good(H5Pset_shuffle(creation), "set filters");
    good(H5Pset_deflate(creation, 1), "set filters");
  }
  Handle data(H5Dcreate2(parent, name.c_str(), stored(array.type), space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose, "create " + name);
  if (array.count() > 0) good(H5Dwrite(data, stored(array.type), H5S_ALL, H5S_ALL, H5P_DEFAULT, array.bytes.data()), "write " + name);
  return data;
}

void write(hid_t parent, const std::string& name, const std::vector<std::string>& strings) {
  const Handle type = text_type(), space = space_of({static_cast<std::int64_t>(strings.size())});
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "make creation properties");
  good(H5Pset_obj_track_times(creation, false), "leave times out");
  const Handle data(H5Dcreate2(parent, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose, "create " + name);
  std::vector<const char*> pointers;
  for (const auto& s : strings) pointers.push_back(s.c_str());
  if (!pointers.empty()) good(H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()), "write " + name);
}

Array read(hid_t parent, const std::string& name) {
  const Handle data(H5Dopen2(parent, name.c_str(), H5P_DEFAULT), H5Dclose, "open " + name);
  const Handle type(H5Dget_type(data), H5Tclose, "read the type of " + name),
      space(H5Dget_space(data), H5Sclose, "read the shape of " + name);
  Array out;
  const bool real = H5Tget_class(type) == H5T_FLOAT;
  const std::size_t size = H5Tget_size(type);
  out.type = real ? (size == 4 ? Array::Type::f32 : Array::Type::f64) : (size == 1 ? Array::Type::u8 : Array::Type::i64);
  std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  if (!dims.empty()) H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  out.shape.assign(dims.begin(), dims.end());
  out.bytes.resize(static_cast<std::size_t>(out.count()) * Array::size_of(out.type));
  if (!out.bytes.empty()) good(H5Dread(data, stored(out.type), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.bytes.data()), "read " + name);
  return out;
}

void attribute(hid_t object, const std::string& name, const std::string& value) {
  const Handle type = text_type();
  const char* pointer = value.c_str();
  scalar(object, name, type, type, &pointer);
}
void attribute(hid_t object, const std::string& name, double value) { scalar(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value); }
void attribute(hid_t object, const std::string& name, std::int64_t value) { scalar(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value); }

void attribute(hid_t object, const std::string& name, const Json& value) {
  if (value.is_boolean()) {
    const std::uint8_t v = value.get<bool>();
    return scalar(object, name, H5T_STD_U8LE, H5T_NATIVE_UINT8, &v);
  }
  if (value.is_number_integer()) return attribute(object, name, value.get<std::int64_t>());
  if (value.is_number()) return attribute(object, name, value.get<double>());
  if (value.is_string()) return attribute(object, name, value.get<std::string>());
  const bool numbers =
      value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), [](const Json& x) { return x.is_number(); });
  if (!numbers) return attribute(object, name, value.dump());
  if (std::all_of(value.begin(), value.end(), [](const Json& x) { return x.is_number_integer(); })) {
    const auto list = value.get<std::vector<std::int64_t>>();
    const Handle space = space_of({static_cast<std::int64_t>(list.size())});
    const Handle a(H5Acreate2(object, name.c_str(), H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                   "create the attribute " + name);
    return good(H5Awrite(a, H5T_NATIVE_INT64, list.data()), "write the attribute " + name);
  }
  const auto list = value.get<std::vector<double>>();
  const Handle space = space_of({static_cast<std::int64_t>(list.size())});
  const Handle a(H5Acreate2(object, name.c_str(), H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                 "create the attribute " + name);
  good(H5Awrite(a, H5T_NATIVE_DOUBLE, list.data()), "write the attribute " + name);
}

std::int64_t read_integer(hid_t object, const std::string& name) {
  const Handle a(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "open the attribute " + name);
  std::int64_t value = 0;
  good(H5Aread(a, H5T_NATIVE_INT64, &value), "read the attribute " + name);
  return value;
}
std::string read_text(hid_t object, const std::string& name) {
  const Handle a(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "open the attribute " + name);
  const Handle type(H5Aget_type(a), H5Tclose, "read a type");
  char* text = nullptr;
  if (H5Aread(a, type, &text) < 0) throw Error("HDF5 failed to read the attribute " + name);
  const std::string out = text ? text : "";
  H5free_memory(text);
  return out;
}

double read_number(hid_t object, const std::string& name) {
  const Handle a(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "open the attribute " + name);
  double value = 0;
  good(H5Aread(a, H5T_NATIVE_DOUBLE, &value), "read the attribute " + name);
  return value;
}

void write_image(hid_t parent, const std::string& name, const Array& pixels) {
  good(H5IMmake_image_24bit(parent, name.c_str(), static_cast<hsize_t>(pixels.shape[1]), static_cast<hsize_t>(pixels.shape[0]),
                            "INTERLACE_PIXEL", reinterpret_cast<const unsigned char*>(pixels.bytes.data())),
       "write the image " + name);
}

void attach_scale(hid_t data, hid_t scale) { good(H5DSattach_scale(data, scale, 0), "attach a dimension scale"); }
void make_scale(hid_t scale, const std::string& name) { good(H5DSset_scale(scale, name.c_str()), "make a dimension scale"); }

}  // namespace scorelab::record
