#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "record/hdf5.h"

namespace scorelab::record {

/// One array of an archive. Its bytes, in C order, come in pieces: it need not fit into memory.
struct NpzArray {
  using Put = std::function<void(const Array& rows)>;
  std::string name;  ///< `np.load(file)[name]`
  Array::Type type;
  std::vector<std::int64_t> shape;
  std::function<void(const Put& put)> fill;
};

/// Writes NumPy's archive: a ZIP file of one .npy file an array, not compressed (NumPy Enhancement
/// Proposal 1). Needs as much free space again beside `file` while it writes. The same arrays give
/// the same bytes. Throws Error, and leaves the file that was there.
void save_npz(const fs::path& file, const std::vector<NpzArray>& arrays);

}  // namespace scorelab::record
