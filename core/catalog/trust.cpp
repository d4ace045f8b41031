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
  if (const char* set = std::getenv("XDG_CONFIG_HOME"); set && *set)
    return fs::path(set) / "scorelab" / name;
  if (const char* home = std::getenv("HOME"); home && *home)
    return fs::path(home) / ".config/scorelab" / name;
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
  if (std::any_of(line.begin(), line.end(), [](unsigned char c) { return c < 32; }))
    throw Error("a folder whose name has control characters cannot be trusted; rename it");
  const fs::path file = list_file(name);
  if (file.empty())
    throw Error(
        "trust cannot be remembered: neither XDG_CONFIG_HOME nor HOME is set; SCORELAB_TRUST can "
        "name folders");
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  std::ofstream out(file, std::ios::app);
  out << line + "\n";
  out.close();
  if (!out)
    throw Error(
        fmt::format("cannot write {}: trust is not remembered; SCORELAB_TRUST can name folders",
                    file.string()));
}

/// Hashes of programs, colons between them: how a call without a home tells its hosts.
constexpr const char* known_now = "SCORELAB_KNOWN_PROGRAMS";

/// The parts of an environment variable that colons separate.
std::vector<std::string> list_of(const char* variable) {
  std::vector<std::string> out;
  const char* set = std::getenv(variable);
  std::istringstream list(set ? set : "");
  for (std::string part; std::getline(list, part, ':');)
    if (!part.empty()) out.push_back(part);
  return out;
}

void add_to_list(const char* variable, const std::string& part) {
  const char* set = std::getenv(variable);
  setenv(variable, ((set && *set ? std::string(set) + ":" : "") + part).c_str(), 1);
}

/// Where a folder really is, links followed: a trusted name that leads elsewhere today is not
/// trusted.
fs::path real(const fs::path& folder) { return fs::weakly_canonical(fs::absolute(folder)); }

std::vector<fs::path> trusted() {
  std::vector<fs::path> out;
  for (const auto& line : lines_of("trusted")) out.emplace_back(line);
  for (const auto& folder : list_of("SCORELAB_TRUST")) out.push_back(real(folder));
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
  return std::any_of(all.begin(), all.end(),
                     [&](const fs::path& root) { return is_below(own, root); });
}

void trust(const fs::path& folder) {
  if (!is_trusted(folder)) add_line("trusted", real(folder).string());
}

void trust_for_now(const fs::path& folder) {
  if (real(folder).string().find(':') != std::string::npos)
    throw Error(fmt::format("{}: a colon separates folders in SCORELAB_TRUST; rename the folder",
                            folder.string()));
  add_to_list("SCORELAB_TRUST", real(folder).string());
}

bool is_known_program(const std::string& sha256) {
  auto all = lines_of("programs");
  const auto now = list_of(known_now);
  all.insert(all.end(), now.begin(), now.end());
  return std::find(all.begin(), all.end(), sha256) != all.end();
}

void remember_program(const std::string& sha256) {
  if (is_known_program(sha256)) return;
  try {
    add_line("programs", sha256);
  } catch (const Error&) {
    // without a home that can be written it is known to this call and its hosts
    add_to_list(known_now, sha256);
  }
}

}  // namespace scorelab::catalog
