#include "journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <scorelab/error.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

namespace scorelab::record {
namespace {

void number(std::string& out, double value) {
  if (!std::isfinite(value)) return void(out += json_of(value).dump());
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

/// Cuts what stands behind the last whole line; 0, or an errno.
int cut_torn_line(int fd) {
  const off_t size = lseek(fd, 0, SEEK_END);
  if (size < 0) return errno;
  for (off_t end = size; end > 0;) {
    char block[4096];
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(sizeof block));
    const ssize_t n = pread(fd, block, static_cast<std::size_t>(end - begin), begin);
    if (n < 0 && errno == EINTR) continue;
    if (n != end - begin) return n < 0 ? errno : EIO;
    for (off_t i = n; i-- > 0;)
      if (block[i] == '\n')
        return begin + i + 1 == size || ftruncate(fd, begin + i + 1) == 0 ? 0 : errno;
    end = begin;
  }
  return ftruncate(fd, 0) == 0 ? 0 : errno;
}

std::int64_t whole(const Json& value) {
  if (!value.is_number_integer())
    throw Json::type_error::create(302, "a step is no integer", &value);
  return value;
}

constexpr std::size_t longest_journal = std::size_t{1} << 31;

/// A line's last member is the CRC-32 of what stands before it.
const std::string crc_mark = ",\"crc\":\"";

std::string crc_of(std::string_view text) {
  return fmt::format("{:08x}", crc32(0, reinterpret_cast<const Bytef*>(text.data()),
                                     static_cast<uInt>(text.size())));
}

bool holds(const std::string& line) {
  const std::size_t tail = crc_mark.size() + 10;
  if (line.size() < tail || line.compare(line.size() - tail, crc_mark.size(), crc_mark) != 0)
    return false;
  return line.compare(line.size() - 10, 8,
                      crc_of(std::string_view(line).substr(0, line.size() - tail))) == 0;
}

}  // namespace

Journal::Journal(const fs::path& file) : file_(file) {
  make_folder(file.parent_path());
  fd_ = open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) throw io_error("open", file, errno);
  if (const int error = cut_torn_line(fd_); error != 0) {
    close(fd_);
    throw io_error("cut the torn end of", file, error);
  }
  syncer_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!closing_) {
      wake_.wait_for(lock, std::chrono::seconds(1));
      if (!dirty_) continue;
      dirty_ = false;
      lock.unlock();
      const int error = fdatasync(fd_) == 0 ? 0 : errno;
      lock.lock();
      if (error != 0) failed_ = error;
    }
  });
}

Journal::~Journal() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  syncer_.join();
  fdatasync(fd_);
  close(fd_);
}

bool Journal::in_place() const {
  struct stat ours {
  }, there{};
  return fstat(fd_, &ours) == 0 && lstat(file_.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

void Journal::write(std::string line) {
  line.pop_back();  // the closing brace
  line += crc_mark + crc_of(line) + "\"}\n";
  const std::lock_guard lock(mutex_);
  if (failed_ != 0) throw io_error("sync", file_, failed_);
  const off_t before = lseek(fd_, 0, SEEK_END);
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(fd_, line.data() + done, line.size() - done);
    if (n < 0 && errno != EINTR) {
      const int error = errno;
      // a torn line is cut when the journal is opened again
      if (before < 0 || ftruncate(fd_, before) != 0) lseek(fd_, 0, SEEK_END);
      throw io_error("write", file_, error);
    }
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  dirty_ = true;
}

void Journal::declare(const std::string& stream, const std::vector<Column>& columns) {
  for (const auto& c : columns)
    write(Json{{"stream", stream},
               {"column", c.name},
               {"unit", c.unit},
               {"goal", c.goal},
               {"long_name", c.long_name}}
              .dump());
}

void Journal::row(const std::string& stream, std::int64_t step, double wall,
                  const std::vector<std::pair<std::string, double>>& values) {
  std::string line =
      fmt::format("{{\"stream\":{},\"step\":{},\"wall\":", Json(stream).dump(), step);
  number(line, wall);
  for (const auto& [name, value] : values) {
    line += fmt::format(",{}:", Json(name).dump());
    number(line, value);
  }
  write(line + "}");
}

void Journal::event(const std::string& name, std::int64_t step, const std::string& message) {
  write(Json{{"event", name}, {"step", step}, {"time", now()}, {"message", message}}.dump());
}

void Journal::sync() {
  const std::lock_guard lock(mutex_);
  const int error = failed_ != 0 ? failed_ : fdatasync(fd_) == 0 ? 0 : errno;
  if (error != 0) throw io_error("sync", file_, error);
}

Lines read_lines(const fs::path& file) {
  Lines out;
  std::error_code none;
  if (fs::symlink_status(file, none).type() == fs::file_type::not_found) return out;
  std::istringstream in(read_whole(file, longest_journal));
  for (std::string line; std::getline(in, line);) {
    const bool torn = in.eof();  // the last line of a live journal
    Json j;
    try {
      if (holds(line)) j = parse_shallow(line);
    } catch (const Error&) {  // too deep to be ours
    }
    if (!j.is_object()) {
      out.damaged += !torn;
      continue;
    }
    j.erase("crc");
    out.lines.push_back(std::move(j));
  }
  return out;
}

Story read_journal(const fs::path& file) {
  Story out;
  std::map<std::string, std::map<std::int64_t, Json>> rows;
  Lines all = read_lines(file);
  out.damaged = all.damaged;
  for (Json& j : all.lines) try {
      if (j.contains("event")) {
        Events& e = out.events;
        const std::string name = j.at("event"), time = j.at("time"), message = j.at("message");
        const std::int64_t step = whole(j.at("step"));
        e.name.push_back(name);
        e.step.push_back(step);
        e.time.push_back(time);
        e.message.push_back(message);
      } else if (j.contains("column")) {
        const Column column{j.at("column"), j.at("unit"), j.at("goal"), j.at("long_name")};
        auto& columns = out.streams[j.at("stream")].columns;
        std::erase_if(columns, [&](const Column& c) { return c.name == column.name; });
        columns.push_back(column);
      } else {
        const std::int64_t step = whole(j.at("step"));
        j.at("wall");
        Json& row = rows[j.at("stream")][step];
        row = std::move(j);
      }
    } catch (const Json::exception&) {
      ++out.damaged;
    }
  if (out.damaged > 0) {
    out.events.name.push_back("damaged-journal");
    out.events.step.push_back(0);
    out.events.time.push_back("");
    out.events.message.push_back(fmt::format(
        "{} lines of {} do not hold their checksum and are left out", out.damaged, file.string()));
  }
  for (const auto& [name, table] : rows) {
    Stream& s = out.streams[name];
    for (const auto& [step, row] : table) {
      s.steps.push_back(step);
      s.wall.push_back(number_of(row["wall"]));
      for (const auto& c : s.columns)
        s.values[c.name].push_back(row.contains(c.name) ? number_of(row[c.name])
                                                        : std::numeric_limits<double>::quiet_NaN());
    }
  }
  for (auto& [name, s] : out.streams)
    for (const auto& c : s.columns)
      s.values[c.name].resize(s.steps.size(), std::numeric_limits<double>::quiet_NaN());
  return out;
}

}  // namespace scorelab::record
