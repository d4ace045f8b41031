#pragma once
#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "record/files.h"

/// HDF5's C library behind one owning handle. Only core/record uses it, from one thread of a
/// process at a time.
///
/// Writing: write_hdf5 alone makes files. Every call and every close is checked, what was written
/// is read back and compared, and only then does the file take its name. A file carries the SHA-256
/// of its contents.
///
/// Reading: files may come from strangers. Links other than hard ones, cycles, storage outside of
/// the file, filters other than ours, classes, ranks and sizes that are not expected are refused
/// before anything is read; all failures are an Error that names the file.
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
  /// throws Error if id is negative
  Handle(hid_t id, herr_t (*close)(hid_t), const std::string& what);
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  ~Handle();
  operator hid_t() const { return id_; }  // NOLINT: it is one

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

/// Writes a file whole: `write` fills it under a temporary name. Throws Error, and leaves the file
/// that was there, where anything fails or is read back otherwise. Format: the oldest that has what
/// we write (superblock 2: any reader, any time, no flags).
void write_hdf5(const fs::path& file, const std::function<void(hid_t)>& write);
/// The same where several files are replaced together: writes and verifies `file` itself, without
/// renaming.
void make_hdf5(const fs::path& file, const std::function<void(hid_t)>& write);

/// Opens a file for reading once its structure has been looked through.
Handle open_file(const fs::path& file);
/// The same for a file of ours: its contents must have the SHA-256 that it carries. With `group`, a
/// path such as "ema/0.999", of the arrays that carry one of their own only those in that group and
/// at the root are read; no other may be used then.
Handle open_verified(const fs::path& file, const std::string& group = "");

Handle create_group(hid_t parent, const std::string& name);
Handle open_group(hid_t parent, const std::string& name);
bool exists(hid_t parent, const std::string& name);
std::vector<std::string> names(hid_t group);  ///< in the order of creation, where it is known
bool is_group(hid_t parent, const std::string& name);

enum class Storage {
  packed,  ///< compressed where that is worth it
  /// as it is, with a SHA-256 of its own: of weights compression saves a seventh, and takes a
  /// hundred times as long as the disk
  plain,
};
Handle write(hid_t parent, const std::string& name, const Array& array,
             Storage storage = Storage::packed);
Handle write(hid_t parent, const std::string& name, const std::vector<std::string>& strings);
Array read(hid_t parent, const std::string& name);
/// The same, which must be of this type and have this many dimensions, each at least 1.
Array read(hid_t parent, const std::string& name, const std::vector<Array::Type>& types,
           std::size_t rank);

void attribute(hid_t object, const std::string& name, const std::string& value);
void attribute(hid_t object, const std::string& name, double value);
void attribute(hid_t object, const std::string& name, std::int64_t value);
/// A typed attribute from JSON: numbers, booleans as u8, strings, lists of numbers; the rest as its
/// JSON text.
void attribute(hid_t object, const std::string& name, const Json& value);
/// one number; otherwise throws, as the next two
std::int64_t read_integer(hid_t object, const std::string& name);
double read_number(hid_t object, const std::string& name);
std::string read_text(hid_t object, const std::string& name);

/// [height, width, 3] of u8 as an image that viewers draw (HDF5 image specification 1.2).
void write_image(hid_t parent, const std::string& name, const Array& pixels);

/// Names an array's dimensions: `scale`, one-dimensional, holds the coordinates of dimension `axis`
/// of `data`. h5netcdf and xarray read it so.
void attach_scale(hid_t data, hid_t scale, unsigned axis = 0);
void make_scale(hid_t scale, const std::string& name);

}  // namespace scorelab::record
