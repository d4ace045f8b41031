#pragma once
#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "record/files.h"

/// HDF5's C library behind one owning handle. Only core/record uses it, from one thread of a process.
namespace scorelab::record {

/// An array of a file: little-endian i64, f64, f32 or u8.
struct Array {
  enum class Type { f32, f64, i64, u8 };
  Type type = Type::f64;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  std::int64_t count() const;
  static std::size_t size_of(Type type) { return type == Type::u8 ? 1 : type == Type::f32 ? 4 : 8; }
  static Array of(const std::vector<double>& values);
  static Array of(const std::vector<std::int64_t>& values);
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};
using NamedArrays = std::vector<std::pair<std::string, Array>>;

class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t), const std::string& what);  ///< throws Error if id is negative
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  ~Handle();
  operator hid_t() const { return id_; }  // NOLINT: it is one

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

/// A file in the oldest format that has what we write (superblock 2: any reader, any time, no flags); `user_block` bytes in front are
/// left for a checksum.
Handle create_file(const fs::path& file, std::size_t user_block = 0);
Handle open_file(const fs::path& file);
Handle create_group(hid_t parent, const std::string& name);
Handle open_group(hid_t parent, const std::string& name);
bool exists(hid_t parent, const std::string& name);
std::vector<std::string> names(hid_t group);  ///< in the order of creation

Handle write(hid_t parent, const std::string& name, const Array& array);
void write(hid_t parent, const std::string& name, const std::vector<std::string>& strings);
Array read(hid_t parent, const std::string& name);

void attribute(hid_t object, const std::string& name, const std::string& value);
void attribute(hid_t object, const std::string& name, double value);
void attribute(hid_t object, const std::string& name, std::int64_t value);
/// A typed attribute from JSON: numbers, booleans as u8, strings, lists of numbers; the rest as its JSON text.
void attribute(hid_t object, const std::string& name, const Json& value);
std::int64_t read_integer(hid_t object, const std::string& name);
double read_number(hid_t object, const std::string& name);
std::string read_text(hid_t object, const std::string& name);

/// [height, width, 3] of u8 as an image that viewers draw (HDF5 image specification 1.2).
void write_image(hid_t parent, const std::string& name, const Array& pixels);

/// Marks `scale` as the dimension scale of `data`'s first dimension.
void attach_scale(hid_t data, hid_t scale);
void make_scale(hid_t scale, const std::string& name);

}  // namespace scorelab::record
