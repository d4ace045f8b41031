#include <ATen/ATen.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/dataset.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "params/data_path.h"
#include "params/sha256.h"

namespace scorelab {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what, const fs::path& file, int error) {
  throw Error(fmt::format("cannot {} {}: {}; set SCORELAB_CACHE to another folder", what,
                          file.string(), std::strerror(error)));
}

/// An open file.
class Descriptor {
 public:
  Descriptor(const fs::path& file, int flags) : file_(file), fd_(open(file.c_str(), flags, 0600)) {
    if (fd_ < 0) fail("open", file, errno);
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return fd_; }
  void sync() const {
    if (fsync(fd_) != 0) fail("sync", file_, errno);
  }

 private:
  fs::path file_;
  int fd_;
};

at::Tensor mapped(const fs::path& file, const std::vector<std::int64_t>& shape, std::size_t bytes,
                  bool to_write) {
  const Descriptor fd(file, to_write ? O_RDWR : O_RDONLY);
  void* at = mmap(nullptr, bytes, to_write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
                  fd.number(), 0);
  if (at == MAP_FAILED) fail("map", file, errno);
  return at::from_blob(
      at, shape, [bytes](void* p) { munmap(p, bytes); }, at::kByte);
}

/// What changes with a file's contents: its inode, size and time.
std::string identity(const fs::path& file) {
  struct stat s {};
  if (stat(file.c_str(), &s) != 0) return "";
  return fmt::format("{} {} {}.{}", s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}

/// Beside a cached file: its identity when it was made. Another one's contents are not known.
fs::path seal_of(const fs::path& file) { return fs::path(file).replace_extension(".seal"); }

bool is_sealed(const fs::path& file) {
  std::string seal;
  std::getline(std::ifstream(seal_of(file)), seal);
  return !seal.empty() && seal == identity(file);
}

/// Under a temporary name until all of it is on the disk. By one process at a time.
void make(const fs::path& file, const std::vector<std::int64_t>& shape, std::size_t bytes,
          const std::function<void(at::Tensor&)>& fill) {
  const fs::path temporary = fs::path(file).replace_extension(".tmp");
  std::error_code error;
  try {
    const Descriptor fd(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC);
    // a hole that cannot be filled later would end the process
    if (const int why = posix_fallocate(fd.number(), 0, static_cast<off_t>(bytes)); why != 0)
      fail("make room for", temporary, why);
    at::Tensor to = mapped(temporary, shape, bytes, true);
    fill(to);
    if (msync(to.data_ptr(), bytes, MS_SYNC) != 0) fail("write", temporary, errno);
    fd.sync();
    fs::rename(temporary, file, error);
    if (error) fail("write", file, error.value());
    Descriptor(file.parent_path(), O_RDONLY | O_DIRECTORY).sync();
    if (!(std::ofstream(seal_of(file)) << identity(file) << std::endl))
      fail("write", seal_of(file), errno);
  } catch (...) {
    fs::remove(temporary, error);
    throw;
  }
}

}  // namespace

at::Tensor cached_bytes(const std::vector<fs::path>& files, const std::string& settings,
                        const std::vector<std::int64_t>& shape,
                        const std::function<void(at::Tensor& bytes)>& fill) {
  std::vector<std::string> before;
  for (const auto& file : files) before.push_back(identity(file));
  std::string what = fmt::format("{}\n[{}]\n", settings, fmt::join(shape, ", "));
  for (const auto& file : files) what += contents_of(file) + "\n";
  std::size_t bytes = 1;
  for (const std::int64_t n : shape) bytes *= static_cast<std::size_t>(n);
  const fs::path folder = cache_folder() / "bytes", file = folder / (sha256(what) + ".bytes");
  std::error_code error;
  const auto is_there = [&] { return is_sealed(file) && fs::file_size(file, error) == bytes; };
  if (!is_there()) {
    fs::create_directories(folder, error);
    if (error) fail("make", folder, error.value());
    // whoever comes second waits, and finds it made
    const Descriptor lock(fs::path(file).replace_extension(".lock"), O_RDWR | O_CREAT | O_CLOEXEC);
    if (flock(lock.number(), LOCK_EX) != 0) fail("lock", file, errno);
    if (!is_there())
      make(file, shape, bytes, [&](at::Tensor& to) {
        fill(to);
        for (std::size_t i = 0; i < files.size(); ++i)
          if (identity(files[i]) != before[i])
            throw Error(files[i].string() + " was changed while it was read; run it again");
      });
  }
  return mapped(file, shape, bytes, false);
}

}  // namespace scorelab
