#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace scorelab::fuzz {

/// xorshift64*: the same numbers everywhere for one seed.
class Random {
 public:
  explicit Random(std::uint64_t seed);
  std::uint64_t next();
  /// From 0 to n - 1; 0 where n is 0.
  std::size_t below(std::size_t n);

 private:
  std::uint64_t state_;
};

/// Makes a slice, or something that opens a level, stand many times in a row: what nests deeply
/// comes of it. At most `most` bytes come out.
void repeat_slice(std::string& bytes, Random& random, std::size_t most);

/// One to eight changes: flipped bits, other bytes, inserted, deleted and repeated slices,
/// interesting integers, a splice with another input.
void mutate(std::string& bytes, Random& random, const std::vector<std::string>& corpus,
            std::size_t most);

}  // namespace scorelab::fuzz
