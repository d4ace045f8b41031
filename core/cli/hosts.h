#pragma once
#include <scorelab/error.h>
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "params/schema.h"

namespace scorelab::cli {

using schema::Json;

/// The host program cannot be started.
class HostUnavailable : public Error {
 public:
  using Error::Error;
};

/// One host process: in its own process group, with a pipe to its stdin that ends when we do, and
/// its stdout read as JSON lines.
class Host {
 public:
  explicit Host(const std::vector<std::string>& arguments);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  void write(const std::string& text);
  void close_input();
  /// Waits up to `milliseconds` for output; calls `line` for each whole line. False once the output
  /// has ended.
  bool read(int milliseconds, const std::function<void(const std::string&)>& line);
  void signal(int number);
  /// Waits for the end; the exit code, or 128 + the signal.
  int wait();

 private:
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  std::string partial_;
};

/// Runs a host to its end and returns its lines; `code` is its exit code.
std::vector<std::string> ask_host(const std::vector<std::string>& arguments,
                                  const std::string& input, int& code);

}  // namespace scorelab::cli
