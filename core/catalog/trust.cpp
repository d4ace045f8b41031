#include "catalog/trust.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace scorelab::catalog {
namespace {

namespace fs = std::filesystem;

fs::path list_file(const char* name) {
  if (const char* set = std::getenv("XDG_CONFIG_HOME"); set && *set) return fs::path(set) / "scorelab" / name;
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".config/scorelab" / name;
  return {};
}

std::vector<std::string> lines_of(const char* name) {
  std::vector<std::string> out;
  std::ifstream in(list_file(name));
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) out.push_back(line);
  return out;
}

void add_line(const char* name, const std::string& line) {
  const fs::path file = list_file(name);
  if (file.empty()) throw Error("trust cannot be remembered: neither XDG_CONFIG_HOME nor HOME is set; SCORELAB_TRUST can name folders");
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  std::ofstream out(file, std::ios::app);
  out << line + "\n";
  out.close();
  if (!out) throw Error(fmt::format("cannot write {}: trust is not remembered; SCORELAB_TRUST can name folders", file.string()));
}

/// Where a folder really is, links followed: a trusted name that leads elsewhere today is not trusted.
fs::path real(const fs::path& folder) { return fs::weakly_canonical(fs::absolute(folder)); }

std::vector<fs::path> trusted() {
  std::vector<fs::path> out;
  for (const auto& line : lines_of("trusted")) out.emplace_back(line);
  if (const char* set = std::getenv("SCORELAB_TRUST")) {
    std::istringstream list(set);
    for (std::string folder; std::getline(list, folder, ':');)
      if (!folder.empty()) out.push_back(real(folder));
  }
  return out;
}

bool is_below(const fs::path& folder, const fs::path& root) {
  const auto [end, at] = std::mismatch(root.begin(), root.end(), folder.begin(), folder.end());
  return end == root.end() || (end->empty() && std::next(end) == root.end());
}

}  // namespace

bool is_trusted(const fs::path& folder) {
  const fs::path own = real(folder);
  const auto all = trusted();
  return std::any_of(all.begin(), all.end(), [&](const fs::path& root) { return is_below(own, root); });
}

void trust(const fs::path& folder) {
  if (!is_trusted(folder)) add_line("trusted", real(folder).string());
}

void trust_for_now(const fs::path& folder) {
  const char* set = std::getenv("SCORELAB_TRUST");
  setenv("SCORELAB_TRUST", ((set && *set ? std::string(set) + ":" : "") + real(folder).string()).c_str(), 1);
}

bool is_known_program(const std::string& sha256) {
  const auto all = lines_of("programs");
  return std::find(all.begin(), all.end(), sha256) != all.end();
}

void remember_program(const std::string& sha256) {
  if (!is_known_program(sha256)) add_line("programs", sha256);
}

}  // namespace scorelab::catalog
