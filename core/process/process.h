#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace scorelab {

/// A program to run by its arguments; no shell reads them.
struct Program {
  std::vector<std::string> arguments;  ///< the first is its name, looked for in PATH
  std::string input;                   ///< its stdin
  std::filesystem::path folder = {};   ///< where it runs; empty: here
  /// Variables set for it beside ours.
  std::vector<std::pair<std::string, std::string>> environment = {};
  bool errors_too = false;  ///< whether its stderr is part of the output, or thrown away
};

struct Ended {
  int code = -1;  ///< its exit code, 128 + the signal, or 127 where it is not there
  std::string output;
};

/// Runs it to its end. `limit`: bytes of output after which the rest is thrown away.
Ended run_program(const Program& program, std::size_t limit = std::size_t{1} << 26);

}  // namespace scorelab
