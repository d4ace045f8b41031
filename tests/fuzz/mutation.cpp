#include "mutation.h"

#include <algorithm>

namespace scorelab::fuzz {
namespace {

struct Slice {
  std::size_t begin, size;
};

Slice slice(const std::string& bytes, Random& random, std::size_t most) {
  if (bytes.empty()) return {0, 0};
  const std::size_t begin = random.below(bytes.size());
  return {begin, 1 + random.below(std::min(most, bytes.size() - begin))};
}

std::uint64_t interesting(Random& random) {
  const std::uint64_t edge = std::uint64_t{1} << random.below(64);
  switch (random.below(6)) {
    case 0:
      return edge;
    case 1:
      return edge - 1;
    case 2:
      return ~edge + 1;
    case 3:
      return ~std::uint64_t{0};
    case 4:
      return random.below(17);
    default:
      return random.next();
  }
}

/// Over what is there, 1 to 8 bytes wide in either order.
void overwrite_integer(std::string& bytes, Random& random) {
  const std::size_t width = std::size_t{1} << random.below(4);
  if (bytes.size() < width) return;
  const std::uint64_t value = interesting(random);
  const std::size_t at = random.below(bytes.size() - width + 1);
  const bool little = random.below(4) != 0;
  for (std::size_t k = 0; k < width; ++k)
    bytes[at + (little ? k : width - 1 - k)] = static_cast<char>(value >> (8 * k));
}

/// A number of a text by another one.
void replace_digits(std::string& bytes, Random& random) {
  const std::size_t at = bytes.find_first_of("0123456789", random.below(bytes.size()));
  if (at == bytes.npos) return;
  const std::size_t end = std::min(bytes.find_first_not_of("0123456789", at), bytes.size());
  const std::uint64_t value = interesting(random);
  bytes.replace(
      at, end - at,
      random.below(2) ? std::to_string(static_cast<std::int64_t>(value)) : std::to_string(value));
}

void change(std::string& bytes, Random& random, const std::vector<std::string>& corpus,
            std::size_t most) {
  const std::string punctuation = "[]{}()\"'=,.:<>-+*/ \n\\#";
  switch (random.below(12)) {
    case 0:
    case 1:
      if (!bytes.empty())
        bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
      break;
    case 2:
      if (!bytes.empty()) bytes[random.below(bytes.size())] = static_cast<char>(random.next());
      break;
    case 3:
      bytes.insert(random.below(bytes.size() + 1), 1 + random.below(8),
                   static_cast<char>(random.next()));
      break;
    case 4:
      bytes.insert(random.below(bytes.size() + 1), 1,
                   punctuation[random.below(punctuation.size())]);
      break;
    case 5: {
      const Slice s = slice(bytes, random, 64);
      bytes.erase(s.begin, s.size);
      break;
    }
    case 6: {
      const Slice s = slice(bytes, random, 64);
      bytes.insert(random.below(bytes.size() + 1), bytes.substr(s.begin, s.size));
      break;
    }
    case 7:
      overwrite_integer(bytes, random);
      break;
    case 8:
      replace_digits(bytes, random);
      break;
    case 9: {
      const std::string& other = corpus[random.below(corpus.size())];
      const Slice s = slice(other, random, 256);
      const std::size_t at = random.below(bytes.size() + 1);
      if (random.below(2))
        bytes.insert(at, other, s.begin, s.size);
      else
        bytes.replace(at, s.size, other, s.begin, s.size);
      break;
    }
    case 10:
      if (random.below(4) == 0) bytes.resize(random.below(bytes.size() + 1));
      break;
    default:
      if (random.below(8) == 0) repeat_slice(bytes, random, most);
  }
}

}  // namespace

Random::Random(std::uint64_t seed) : state_((seed + 1) * 0x9e3779b97f4a7c15u) {}

std::uint64_t Random::next() {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  return state_ * 0x2545f4914f6cdd1du;
}

std::size_t Random::below(std::size_t n) {
  return n == 0 ? 0 : static_cast<std::size_t>((next() >> 11) % n);
}

void repeat_slice(std::string& bytes, Random& random, std::size_t most) {
  static const std::vector<std::string> opening{"(",  "[",  "{",       "-",   "not ",
                                                "a.", "[[", "{\"a\":", "{a=", "abs("};
  const Slice s = slice(bytes, random, 8);
  const std::string one = s.size > 0 && random.below(2) ? bytes.substr(s.begin, s.size)
                                                        : opening[random.below(opening.size())];
  if (bytes.size() >= most) return;
  const std::size_t times =
      std::min(std::size_t{2} << random.below(16), (most - bytes.size()) / one.size());
  std::string many;
  for (std::size_t i = 0; i < times; ++i) many += one;
  bytes.insert(s.begin, many);
}

void mutate(std::string& bytes, Random& random, const std::vector<std::string>& corpus,
            std::size_t most) {
  for (std::size_t changes = 1 + random.below(8); changes > 0; --changes)
    change(bytes, random, corpus, most);
  if (bytes.size() > most) bytes.resize(most);
}

}  // namespace scorelab::fuzz
