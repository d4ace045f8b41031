#pragma once
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define SCORELAB_BOTH __host__ __device__ inline
#else
#define SCORELAB_BOTH inline
#endif

/// Philox 4x32-10 (Salmon et al. 2011, table 2) and the laws drawn from it, the same source for CPU
/// and GPU.
namespace scorelab::philox {

struct Block {
  std::uint32_t word[4];
};

SCORELAB_BOTH Block philox4x32(Block counter, std::uint32_t key0, std::uint32_t key1) {
  constexpr std::uint64_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = m0 * counter.word[0], p1 = m1 * counter.word[2];
    counter = {{static_cast<std::uint32_t>(p1 >> 32) ^ counter.word[1] ^ key0,
                static_cast<std::uint32_t>(p1),
                static_cast<std::uint32_t>(p0 >> 32) ^ counter.word[3] ^ key1,
                static_cast<std::uint32_t>(p0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// The four words of elements 4 * quad .. 4 * quad + 3 of one draw of one sample.
SCORELAB_BOTH Block words(std::uint64_t key, std::uint32_t quad, std::uint32_t draw,
                          std::uint64_t sample) {
  return philox4x32(
      {{quad, draw, static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32)}},
      static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32));
}

/// In (0, 1), never an end: the middle of one of 2^32 cells.
SCORELAB_BOTH double unit(std::uint32_t word) { return (word + 0.5) * 2.3283064365386963e-10; }

enum Law { normal = 0, uniform = 1, sign = 2 };

/// A value in the tensor's type. A uniform one stays below 1, to which float32 would round the last
/// 128 cells.
template <class T>
SCORELAB_BOTH T narrowed(double value, Law law) {
  const T out = static_cast<T>(value);
  return law == uniform && out >= T(1) ? static_cast<T>(0.99999994f) : out;
}

/// Four values of a law. Normals by Box and Muller from two words each pair, in double whatever the
/// tensor's dtype, so that float32 and float64 runs are paired.
SCORELAB_BOTH void values(Block block, Law law, double out[4]) {
  if (law == normal) {
    for (int pair = 0; pair < 4; pair += 2) {
      const double radius = sqrt(-2.0 * log(unit(block.word[pair])));
      const double angle = 6.283185307179586 * unit(block.word[pair + 1]);
      out[pair] = radius * cos(angle);
      out[pair + 1] = radius * sin(angle);
    }
  } else {
    for (int i = 0; i < 4; ++i)
      out[i] = law == uniform ? unit(block.word[i]) : (block.word[i] & 1u ? 1.0 : -1.0);
  }
}

}  // namespace scorelab::philox
