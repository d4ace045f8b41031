#pragma once
#include <ATen/core/Tensor.h>
#include <scorelab/component.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace scorelab {

/// An array of numbers from a file, which is one of
///   .npy          NumPy's array, which is mapped and need not fit into memory; it has no name
///   .npz          NumPy's archive
///   .h5, .hdf5    HDF5; the name is a path, such as "train/x"
///   .csv, .tsv    a table in text, which gzip may have packed, in float64: a name is that of a
///                 column, [N]; no name takes all columns, [N, D]
/// An empty name takes the only array of an archive or of an HDF5 file. The result is on the CPU,
/// contiguous and not to be written. Files may come from strangers: nothing is unpickled, no link
/// out of the file is followed, and sizes are checked before memory is taken. Throws Error.
at::Tensor read_array(const std::filesystem::path& file, const std::string& name = "");

/// The tensors of a safetensors file, by name, on the CPU; half precision is widened to float32. It
/// may come from a stranger, too: it is a header and bytes. Throws Error.
std::vector<std::pair<std::string, at::Tensor>> read_safetensors(const std::filesystem::path& file);

/// Items from files, as the parameters of a data set say which. A shared group:
/// `arrays_.params(p)`.
class Arrays {
 public:
  void params(Params& p);
  /// [N, ..], N at least 1.
  at::Tensor items() const;
  /// The class of each of `count` items; none where `classes` is 0.
  std::vector<std::int64_t> labels(std::int64_t count) const;
  std::int64_t classes() const { return classes_; }

 private:
  std::string file_, array_, labels_ = "labels", labels_file_;
  std::int64_t classes_ = 0;
};

}  // namespace scorelab
