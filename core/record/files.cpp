#include "files.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <scorelab/error.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace scorelab::record {
namespace {

[[noreturn]] void fail(const std::string& what, const fs::path& file) { throw Error(fmt::format("cannot {} {}: {}", what, file.string(), std::strerror(errno))); }

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

void write_whole(const fs::path& file, const std::string& bytes) {
  replace_whole(file, [&](const fs::path& temporary) {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out) fail("write", temporary);
  });
}

Json read_json(const fs::path& file) {
  std::ifstream in(file);
  if (!in) return {};
  Json out = Json::parse(in, nullptr, false);
  if (out.is_discarded()) throw Error(file.string() + " is damaged: it is no JSON; remove it to make its stage again");
  return out;
}

fs::path stage_folder(const fs::path& results, const std::string& key) { return results / ".stages" / key.substr(0, 24); }

Claim::Claim(const fs::path& folder) {
  fs::create_directories(folder);
  fd_ = open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("open", folder / "lock");
  held_ = flock(fd_, LOCK_EX | LOCK_NB) == 0;
}
Claim::~Claim() {
  if (fd_ >= 0) close(fd_);
}

std::string now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

}  // namespace scorelab::record
