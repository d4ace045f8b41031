#pragma once
#include <filesystem>
#include <vector>

#include "record/hdf5.h"

namespace scorelab::record {

/// The samples of one sampling call, in data units, and what each cost. Files are numbered by their
/// first sample, and name it and their stage inside, so that one in another's place is noticed.
/// Readers verify checksums and throw Damaged.
struct SampleChunk {
  std::int64_t first = 0;
  Array x;                        ///< [n, ..]
  std::vector<std::int64_t> nfe;  ///< [n]
  double seconds = 0;
  NamedArrays beside = {};  ///< one row a sample: label, clean
};

void save_samples(const fs::path& folder, const SampleChunk& chunk);
/// whether a whole, readable file of them is there
bool has_samples(const fs::path& folder, std::int64_t first, std::int64_t n);
SampleChunk load_chunk(const fs::path& folder, std::int64_t first);
/// The paths of the first samples: t [S + 1, k] from the start to the last step, x [S + 1, k, ..]
/// in data units.
struct Trace {
  Array t, x;
};
void save_trace(const fs::path& folder, const Trace& trace);
/// how many paths a readable file there holds; 0: there is none
std::int64_t traced(const fs::path& folder);
Trace load_trace(const fs::path& folder, std::int64_t count);  ///< the first of them
/// The first `count` samples of a folder, file by file: those of one are in memory at once. All
/// files are verified when it is made.
class StoredSamples {
 public:
  StoredSamples(fs::path folder, std::int64_t count);
  const std::vector<std::int64_t>& shape() const { return shape_; }  ///< of one
  Array rows(std::int64_t first, std::int64_t count);

 private:
  const SampleChunk& chunk_of(std::int64_t sample);
  fs::path folder_;
  std::vector<std::int64_t> shape_, firsts_;  // firsts_: of each file, and one past the last
  SampleChunk open_;
};

/// The first `count` samples of a folder, whole.
SampleChunk load_samples(const fs::path& folder, std::int64_t count);

}  // namespace scorelab::record
