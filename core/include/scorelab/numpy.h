#pragma once
#include <ATen/core/Tensor.h>
#include <scorelab/component.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace scorelab {

/// The array of a .npy file, or the one called `name` of a .npz archive; an empty name: its only
/// one. On the CPU, in the file's dtype, contiguous and not to be written: a .npy file is mapped,
/// so that it need not fit into memory, and an archive's array is read. Files may come from
/// strangers: nothing is unpickled, and sizes are checked before memory is taken. Throws Error.
at::Tensor read_numpy(const std::filesystem::path& file, const std::string& name = "");

/// Arrays that NumPy wrote, as the parameters of a data set say which. A shared group:
/// `arrays_.params(p)`.
class NumpyArrays {
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
