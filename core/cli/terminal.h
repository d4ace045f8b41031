#pragma once
#include <string>

namespace scorelab::cli {

bool is_terminal(int fd);
/// Whether to colour what goes to this descriptor: a terminal, and no NO_COLOR.
bool colours(int fd);
std::string bold(const std::string& text, int fd);
std::string red(const std::string& text, int fd);
std::string dim(const std::string& text, int fd);
/// 83 as `1:23`, 4000 as `1:06:40`.
std::string duration(double seconds);
/// Four significant digits, without needless zeros.
std::string figure(double value);

}  // namespace scorelab::cli
