#pragma once
#include <cstddef>
#include <string>

/// Texts from elsewhere.
namespace scorelab::manifest {

/// Whether all of it is UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool is_utf8(const std::string& text);
/// The text with every byte that is no UTF-8 as \xNN.
std::string as_utf8(const std::string& text);
/// At most `size` bytes, cut between characters.
std::string cut(const std::string& text, std::size_t size);

}  // namespace scorelab::manifest
