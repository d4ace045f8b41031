#include "files.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <scorelab/error.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

namespace scorelab::record {
namespace {

[[noreturn]] void fail(const std::string& what, const fs::path& file) {
  throw Error(fmt::format("cannot {} {}: {}", what, file.string(), std::strerror(errno)));
}

void sync(const fs::path& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0 || fsync(fd) != 0) {
    if (fd >= 0) close(fd);
    fail("sync", path);
  }
  close(fd);
}

}  // namespace

void replace_whole(const fs::path& file, const std::function<void(const fs::path&)>& write) {
  fs::create_directories(file.parent_path());
  const fs::path temporary = file.parent_path() / fmt::format(".{}.{}.tmp", file.filename().string(), getpid());
  write(temporary);
  sync(temporary, O_RDONLY);
  if (rename(temporary.c_str(), file.c_str()) != 0) fail("rename a file to", file);
  sync(file.parent_path(), O_RDONLY | O_DIRECTORY);
}

void remove_stale(const fs::path& folder) {
  std::error_code none;
  std::vector<fs::path> stale;
  for (const auto& entry : fs::recursive_directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    if (name.size() < 6 || name[0] != '.' || name.substr(name.size() - 4) != ".tmp") continue;
    const std::string stem = name.substr(0, name.size() - 4);
    const int pid = std::atoi(stem.substr(stem.rfind('.') + 1).c_str());
    if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) stale.push_back(entry.path());
  }
  for (const auto& file : stale) fs::remove(file, none);
}

void write_whole(const fs::path& file, const std::string& bytes) {
  replace_whole(file, [&](const fs::path& temporary) {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out) fail("write", temporary);
  });
}

double number_of(const Json& v) {
  if (v.is_number()) return v;
  const std::string word = v.is_string() ? v.get<std::string>() : "nan";
  const double inf = std::numeric_limits<double>::infinity();
  return word == "inf" ? inf : word == "-inf" ? -inf : std::numeric_limits<double>::quiet_NaN();
}

Json read_json(const fs::path& file) {
  std::ifstream in(file);
  if (!in) return {};
  Json out = Json::parse(in, nullptr, false);
  if (out.is_discarded()) throw Error(file.string() + " is damaged: it is no JSON; remove it to make its stage again");
  return out;
}

fs::path stage_folder(const fs::path& results, const std::string& key) { return results / ".stages" / key.substr(0, 24); }

Claim::Claim(const fs::path& folder, bool patient) {
  fs::create_directories(folder);
  fd_ = open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("open", folder / "lock");
  for (int tries = patient ? 20 : 1; tries > 0 && !held_; --tries) {
    held_ = flock(fd_, LOCK_EX | LOCK_NB) == 0;
    const timespec pause{0, 10000000};
    if (!held_ && patient) nanosleep(&pause, nullptr);
  }
}
Claim::~Claim() {
  if (fd_ >= 0) close(fd_);
}

std::string now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

}  // namespace scorelab::record
