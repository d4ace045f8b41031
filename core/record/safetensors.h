#pragma once
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "record/hdf5.h"

namespace scorelab::record {

/// A file of weights in the safetensors format (https://github.com/huggingface/safetensors): a JSON
/// header, then the bytes of each tensor. It may come from a stranger: nothing of it runs, and
/// sizes and places are checked against the file before memory is taken. Throws Damaged for what is
/// not such a file.
class Safetensors {
 public:
  explicit Safetensors(const fs::path& file);
  /// In the order in which their bytes lie in the file.
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<std::int64_t>& shape(const std::string& name) const {
    return entries_.at(name).shape;
  }
  /// One tensor. F16 and BF16 are widened to f32, which is exact. Throws Error for a type that no
  /// weights have: F64, F32, F16, BF16, I64 and U8 are read.
  Array read(const std::string& name);

 private:
  struct Entry {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::size_t begin, end;  // from the end of the header
  };
  /// One tensor's line of the header, in a file with this many bytes of tensors.
  Entry entry_of(const std::string& name, const Json& line, std::uint64_t bytes) const;
  fs::path file_;
  std::ifstream in_;
  std::size_t data_ = 0;
  std::map<std::string, Entry> entries_;
  std::vector<std::string> names_;
};

/// Writes tensors whole, in this order, with metadata beside them. Throws IoError.
void save_safetensors(const fs::path& file, const NamedArrays& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace scorelab::record
