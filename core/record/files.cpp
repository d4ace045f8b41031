#include "files.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "params/sha256.h"

namespace scorelab::record {
namespace {

const char* const checksum = "checksum";

struct Descriptor {
  Descriptor(const fs::path& file, int flags) : fd(open(file.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  int fd;
};

void sync(const fs::path& path, int flags) {
  const Descriptor file(path, flags);
  if (file.fd < 0 || fsync(file.fd) != 0) throw io_error("sync", path, errno);
}

void write_bytes(const fs::path& file, const std::string& bytes) {
  Descriptor out(file, O_WRONLY | O_CREAT | O_EXCL);
  if (out.fd < 0) throw io_error("create", file, errno);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = write(out.fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno != EINTR) throw io_error("write", file, errno);
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  if (close(std::exchange(out.fd, -1)) != 0) throw io_error("write", file, errno);
}

std::string checksum_of(const Json& object) {
  return sha256(object.dump(-1, ' ', false, Json::error_handler_t::replace)).substr(0, 32);
}

bool hexadecimal(const std::string& text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace

Damaged::Damaged(const fs::path& file, const std::string& why)
    : Error(why.find(file.string()) == 0 ? why
                                         : fmt::format("{} is damaged: {}", file.string(), why)) {}

namespace {

const char* advice_for(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space there, or choose another folder with --results";
    case EFBIG:
      return "; raise the limit of a file's size (ulimit -f)";
    case EMFILE:
    case ENFILE:
      return "; raise the limit of open files (ulimit -n)";
    case EACCES:
    case EPERM:
      return "; see to its owner and permissions";
    case EROFS:
      return "; the file system is read-only: choose another folder with --results";
    case EIO:
      return "; the disk or the connection to it fails: see the system's log";
    case ENOLCK:
    case EOPNOTSUPP:
    case ENOSYS:
      return "; this file system has no locks (flock): choose a folder on another one with "
             "--results";
    default:
      return "";
  }
}

}  // namespace

std::string cause_of(int error) { return std::string(std::strerror(error)) + advice_for(error); }

IoError io_error(const std::string& what, const fs::path& file, int error) {
  return IoError(fmt::format("cannot {} {}: {}", what, file.string(), cause_of(error)));
}

void make_folder(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw io_error("make the folder", folder, failed.value());
}

void expect_no_links(const fs::path& file) {
  std::error_code none;
  fs::path link, found;
  for (fs::path at = fs::absolute(file).lexically_normal().parent_path(); at.has_relative_path();
       at = at.parent_path()) {
    // of those below the outermost results folder
    if (fs::is_directory(at / ".stages", none)) found = link;
    if (fs::is_symlink(at, none)) link = at;
  }
  if (!found.empty())
    throw Error(
        fmt::format("{} is a link: nothing is written through links in a results folder; put a "
                    "folder in its place",
                    found.string()));
}

void rename_file(const fs::path& from, const fs::path& to) {
  if (rename(from.c_str(), to.c_str()) != 0) throw io_error("rename a file to", to, errno);
  sync(to.parent_path(), O_RDONLY | O_DIRECTORY);
}

void replace_whole(const fs::path& file, const std::function<void(const fs::path&)>& write) {
  expect_no_links(file);
  make_folder(file.parent_path());
  // a name that nobody can foresee: a link under it would be written through
  std::random_device random;
  const fs::path temporary =
      file.parent_path() /
      fmt::format(".{}.{:08x}.{}.tmp", file.filename().string(), random(), getpid());
  try {
    write(temporary);
    sync(temporary, O_RDONLY);
    rename_file(temporary, file);
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
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

std::string read_whole(const fs::path& file, std::size_t limit) {
  const Descriptor in(file, O_RDONLY | O_NONBLOCK);  // a pipe would wait for a writer
  struct stat about {};
  if (in.fd < 0 || fstat(in.fd, &about) != 0) throw io_error("open", file, errno);
  if (!S_ISREG(about.st_mode)) throw Damaged(file, "it is no regular file");
  std::string out;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = read(in.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw io_error("read", file, errno);
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > limit)
      throw Error(fmt::format("{} is longer than {} bytes, the most that is read of such a file",
                              file.string(), limit));
  }
}

void write_whole(const fs::path& file, const std::string& bytes) {
  replace_whole(file, [&](const fs::path& temporary) {
    write_bytes(temporary, bytes);
    if (read_whole(temporary, bytes.size()) != bytes)
      throw IoError(fmt::format("cannot write {}: it was read back otherwise than it was written",
                                file.string()));
  });
}

std::string relabelled(const std::string& name, const std::string& from, const std::string& to) {
  const bool own = name == from || name.rfind(from + ".", 0) == 0;
  return own ? to + name.substr(from.size()) : name;
}

Json relabelled(Json done, const std::string& what) {
  const std::string mark = "evaluate ";
  if (!done.is_object() || what.rfind(mark, 0) != 0 || !done.contains("measured_as") ||
      !done["measured_as"].is_string())
    return done;
  const std::string from = done["measured_as"], to = what.substr(mark.size());
  for (const char* list : {"values", "arrays"})
    if (done.contains(list) && done[list].is_array())
      for (auto& item : done[list])
        if (item.is_object() && item.contains("name") && item["name"].is_string())
          item["name"] = relabelled(item["name"].get<std::string>(), from, to);
  return done;
}

void write_json(const fs::path& file, Json object) {
  object.erase(checksum);
  object[checksum] = checksum_of(object);
  write_whole(file, object.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json parse_shallow(const std::string& text) {
  int depth = 0;
  const auto shallow = [&depth](int, Json::parse_event_t event, Json&) {
    depth +=
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    depth -= event == Json::parse_event_t::object_end || event == Json::parse_event_t::array_end;
    if (depth > 100) throw Error("it is nested more than 100 deep");
    return true;
  };
  return Json::parse(text, shallow, false);
}

Json read_json(const fs::path& file) {
  if (!fs::exists(file)) return {};
  const std::string text = read_whole(file, std::size_t{1} << 30);
  Json out;
  try {
    out = parse_shallow(text);
  } catch (const Error& e) {
    throw Damaged(file, e.what());
  }
  if (!out.is_object())
    throw Damaged(file, "it is no JSON object; remove it to make again what it records");
  const Json stated = out.value(checksum, Json());
  out.erase(checksum);
  if (stated != checksum_of(out))
    throw Damaged(file, "its checksum does not hold; remove it to make again what it records");
  return out;
}

fs::path stage_folder(const fs::path& results, const std::string& key) {
  return results / ".stages" / key.substr(0, 24);
}

std::string stage_of(const fs::path& folder) {
  for (fs::path at = folder; at.has_relative_path(); at = at.parent_path())
    if (at.parent_path().filename() == ".stages") return at.filename().string();
  return "";
}

bool is_stage_name(const std::string& name) { return hexadecimal(name, 24); }
bool is_key(const std::string& text) { return hexadecimal(text, 64); }

Claim::Claim(const fs::path& folder, bool patient) : file_(folder / "lock") {
  expect_no_links(file_);
  make_folder(folder);
  fd_ = open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) throw io_error("open", file_, errno);
  for (int tries = patient ? 20 : 1; tries > 0 && !held_; --tries) {
    held_ = flock(fd_, LOCK_EX | LOCK_NB) == 0;
    if (!held_ && errno != EWOULDBLOCK && errno != EINTR) {
      const int error = errno;
      close(fd_);
      throw io_error("lock", file_, error);
    }
    const timespec pause{0, 10000000};
    if (!held_ && patient) nanosleep(&pause, nullptr);
  }
}
Claim::~Claim() {
  if (fd_ >= 0) close(fd_);
}

bool Claim::in_place() const {
  struct stat ours {
  }, there{};
  return fstat(fd_, &ours) == 0 && lstat(file_.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

bool is_claimed(const fs::path& folder) {
  const Descriptor lock(folder / "lock", O_RDONLY | O_NOFOLLOW);
  return lock.fd >= 0 && flock(lock.fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

ResultsLock::ResultsLock(const fs::path& results, Mode mode) {
  make_folder(results);
  const fs::path file = results / ".lock";
  fd_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) throw io_error("open", file, errno);
  while (flock(fd_, mode == Mode::plan ? LOCK_SH : LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    const int error = errno;
    close(fd_);
    throw io_error("lock", file, error);
  }
}
ResultsLock::~ResultsLock() {
  if (fd_ >= 0) close(fd_);
}

namespace {

/// What stage.json said before a sampling was extended. It stays when that is done: whoever found
/// no stage.json a moment before finds it.
constexpr const char* set_aside_as = "stage.before.json";

}  // namespace

Json read_done(const fs::path& folder, std::int64_t count, std::int64_t trace) {
  if (Json done = read_json(folder / "stage.json"); !done.is_null()) return done;
  const fs::path file = folder / set_aside_as;
  Json before = read_json(file);
  if (before.is_null()) return {};
  const bool enough = shaped(file, [&] {
    return before.at("count").get<std::int64_t>() >= count &&
           (before.contains("moments") || before.at("trace").get<std::int64_t>() >= trace);
  });
  return enough ? before : Json();
}

void set_aside(const fs::path& folder) {
  bool holds = false;  // a training that is made again holds nothing until it ends
  try {
    const Json done = read_json(folder / "stage.json");
    if (done.is_null()) return;  // taken back before, by a run that did not end
    holds = done.contains("moments") || (done.contains("trace") && fs::exists(folder / "samples"));
  } catch (const Damaged&) {  // nor does this
  }
  if (holds)
    fs::rename(folder / "stage.json", folder / set_aside_as);
  else
    for (const char* name : {"stage.json", set_aside_as}) fs::remove(folder / name);
}

void reopen(const fs::path& folder) {
  const Claim claim(folder, true);
  if (!claim.held()) return;
  for (const char* name : {"stage.json", set_aside_as}) fs::remove(folder / name);
}

void open_standard_descriptors() {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  while (fd >= 0 && fd <= STDERR_FILENO) fd = dup(fd);
  if (fd > STDERR_FILENO) close(fd);
}

std::string now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

}  // namespace scorelab::record
