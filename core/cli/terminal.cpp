#include "cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <streambuf>

namespace scorelab::cli {

bool is_terminal(int fd) { return isatty(fd) == 1; }
bool colours(int fd) {
  const char* off = std::getenv("NO_COLOR");
  return is_terminal(fd) && !(off && *off);
}

namespace {

constexpr const char* codes[] = {"\x1b[0m", "\x1b[1m", "\x1b[31;1m", "\x1b[2m"};

std::string escaped(const std::string& text, bool keep_colours) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F
    const bool c1 =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c == 0x1b && keep_colours) {
      const auto* own = std::find_if(std::begin(codes), std::end(codes), [&](const char* code) {
        return text.compare(i, std::strlen(code), code) == 0;
      });
      if (own != std::end(codes)) {
        out += *own;
        i += std::strlen(*own) - 1;
        continue;
      }
    }
    if (c1)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    else if ((c < 32 && c != '\n' && c != '\t') || c == 127)
      out += fmt::format("\\x{:02x}", c);
    else
      out += text[i];
  }
  return out;
}

std::string paint(const char* code, const std::string& text, int fd) {
  return colours(fd) ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}
}  // namespace

std::string bold(const std::string& text, int fd) { return paint("1", text, fd); }
std::string red(const std::string& text, int fd) { return paint("31;1", text, fd); }
std::string dim(const std::string& text, int fd) { return paint("2", text, fd); }

namespace {

/// Collects what is written, and lets it out escaped when it is flushed.
class Escaping final : public std::streambuf {
 public:
  explicit Escaping(int fd) : fd_(fd) {}
  ~Escaping() override { sync(); }
  int error = 0;  ///< errno of the first write that failed

 protected:
  int_type overflow(int_type c) override {
    if (c != traits_type::eof()) text_ += traits_type::to_char_type(c);
    return text_.size() < 65536 || sync() == 0 ? traits_type::not_eof(c) : traits_type::eof();
  }
  std::streamsize xsputn(const char* s, std::streamsize n) override {
    text_.append(s, static_cast<std::size_t>(n));
    return text_.size() < 65536 || sync() == 0 ? n : 0;
  }
  int sync() override {
    const std::string out = escaped(text_, true);
    text_.clear();
    for (std::size_t done = 0; done < out.size();) {
      const ssize_t n = ::write(fd_, out.data() + done, out.size() - done);
      if (n < 0 && errno != EINTR) {
        if (error == 0) error = errno;
        return -1;
      }
      if (n > 0) done += static_cast<std::size_t>(n);
    }
    return 0;
  }

 private:
  int fd_;
  std::string text_;
};

}  // namespace

std::string visible(const std::string& text) { return escaped(text, false); }

namespace {
Escaping& standard_output() {
  static Escaping out(STDOUT_FILENO);
  return out;
}
}  // namespace

void show_control_characters() {
  std::ios::sync_with_stdio(false);
  static Escaping err(STDERR_FILENO);
  std::cout.rdbuf(&standard_output());
  std::cerr.rdbuf(&err);
}

int stdout_error() { return standard_output().error; }

void put(int fd, const std::string& text) {
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
}

std::string duration(double seconds) {
  const auto s = static_cast<long>(std::lround(std::max(0.0, seconds)));
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                  : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string figure(double value) { return fmt::format("{:.4g}", value); }

}  // namespace scorelab::cli
