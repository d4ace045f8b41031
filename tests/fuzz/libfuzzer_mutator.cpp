// libFuzzer's own mutations, and now and then a slice repeated many times, which they would hardly
// find.
#include <cstring>

#include "mutation.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  scorelab::fuzz::Random random(seed);
  if (size == 0 || random.below(256) != 0) return LLVMFuzzerMutate(data, size, most);
  std::string bytes(reinterpret_cast<const char*>(data), size);
  scorelab::fuzz::repeat_slice(bytes, random, most);
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}
