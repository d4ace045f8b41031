#include "manifest/text.h"

#include <fmt/format.h>

namespace scorelab::manifest {
namespace {

unsigned char byte(const std::string& text, std::size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

/// The bytes of the character that begins at i; 0: none does.
std::size_t character(const std::string& text, std::size_t i) {
  const unsigned char a = byte(text, i), b = byte(text, i + 1);
  std::size_t size = 0;
  if (a < 0x80)
    size = 1;
  else if (a >= 0xC2 && a < 0xE0)
    size = 2;
  else if (a >= 0xE0 && a < 0xF0)
    size = 3;
  else if (a >= 0xF0 && a < 0xF5)
    size = 4;
  if (size == 0 || i + size > text.size()) return 0;
  for (std::size_t k = 1; k < size; ++k)
    if (byte(text, i + k) >> 6 != 2) return 0;
  const bool overlong = (a == 0xE0 && b < 0xA0) || (a == 0xF0 && b < 0x90),
             beyond = (a == 0xED && b >= 0xA0) || (a == 0xF4 && b >= 0x90);
  return overlong || beyond ? 0 : size;
}

}  // namespace

bool is_utf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t size = character(text, i);
    if (size == 0) return false;
    i += size;
  }
  return true;
}

std::string as_utf8(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (const std::size_t size = character(text, i); size > 0) {
      out.append(text, i, size);
      i += size;
    } else
      out += fmt::format("\\x{:02x}", byte(text, i++));
  }
  return out;
}

std::string cut(const std::string& text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && byte(text, size) >> 6 == 2) --size;
  return text.substr(0, size);
}

}  // namespace scorelab::manifest
