#include "cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

namespace scorelab::cli {

bool is_terminal(int fd) { return isatty(fd) == 1; }
bool colours(int fd) {
  const char* off = std::getenv("NO_COLOR");
  return is_terminal(fd) && !(off && *off);
}

namespace {
std::string paint(const char* code, const std::string& text, int fd) {
  return colours(fd) ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}
}  // namespace

std::string bold(const std::string& text, int fd) { return paint("1", text, fd); }
std::string red(const std::string& text, int fd) { return paint("31;1", text, fd); }
std::string dim(const std::string& text, int fd) { return paint("2", text, fd); }

std::string duration(double seconds) {
  const auto s = static_cast<long>(std::lround(std::max(0.0, seconds)));
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60) : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string figure(double value) { return fmt::format("{:.4g}", value); }

}  // namespace scorelab::cli
