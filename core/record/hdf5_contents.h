#pragma once
#include <map>
#include <string>
#include <vector>

#include "params/sha256.h"
#include "record/hdf5.h"

namespace scorelab::record {

/// The attribute of a file that holds the SHA-256 of its contents.
constexpr const char* digest_name = "contents_sha256";
/// The attribute of an array that holds its own line, so that a file can be verified without
/// reading all of it.
constexpr const char* line_name = "sha256";

/// What a file of ours holds: for every array and attribute a line with its kind, size and SHA-256.
/// The same from what is written and from what is read, whatever HDF5 makes of it on the disk.
class Contents {
 public:
  void add(const std::string& path, const std::string& line) { lines_[path] = line; }
  std::string digest() const;
  /// The first path at which the other differs; empty where they are the same.
  std::string differs(const Contents& other) const;

 private:
  std::map<std::string, std::string> lines_;
};

std::string line_of(const Array& array);
std::string line_of(const std::vector<std::string>& strings);
/// Of an attribute's numbers.
template <class T>
std::string line_of(const T* values, std::size_t n) {
  return std::to_string(sizeof(T)) + " " +
         sha256({reinterpret_cast<const char*>(values), n * sizeof(T)});
}

/// Of a file that is looked through to its last array. Throws Error as open_file does.
Contents contents_of(const fs::path& file);

/// Throws IoError with the system's cause, where HDF5's error stack names one; otherwise Error.
[[noreturn]] void hdf5_failed(const std::string& what);
/// The errno that the error stack names; 0: none.
int hdf5_errno();

}  // namespace scorelab::record
