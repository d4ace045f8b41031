#pragma once
#include <cstdint>

/// The two implementations of a draw behind scorelab::Noise.
namespace scorelab::noise {

/// `rows` rows of `width` elements: row r is draw `counts[r]` (or `count` where counts is null) of
/// sample first + r; rows with active[r] == 0 get 0 (null: all are active). law: philox::Law.
/// dtype: 4 or 8, the bytes of an element.
struct Draw {
  std::uint64_t key;
  std::int64_t first, rows, width;
  const std::uint32_t* counts;
  const std::uint8_t* active;
  std::uint32_t count;
  int law, dtype;
  void* out;
  int device = -1;  ///< the CUDA device where `out` lies; -1: the CPU
};

void draw_cpu(const Draw& draw);
/// Set by libscorelab_cuda when the host loads it: counts and active are host memory, out is device
/// memory.
using DrawCuda = void (*)(const Draw& draw);
extern DrawCuda draw_cuda;

}  // namespace scorelab::noise
