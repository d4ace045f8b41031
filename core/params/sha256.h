#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace scorelab {

/// SHA-256 as 64 hexadecimal digits.
std::string sha256(std::string_view bytes);
/// Of a file's contents from `offset` on; throws Error.
std::string sha256_file(const std::filesystem::path& file, std::size_t offset = 0);

}  // namespace scorelab
