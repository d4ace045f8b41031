#include "journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <scorelab/error.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

namespace scorelab::record {
namespace {

void number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += std::isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"";
    return;
  }
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

double number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  const double inf = std::numeric_limits<double>::infinity();
  if (value == "inf") return inf;
  return value == "-inf" ? -inf : std::numeric_limits<double>::quiet_NaN();
}

/// The length of a file up to the end of its last whole line.
off_t whole_lines(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in.seekg(0, std::ios::end)) return 0;
  for (auto end = static_cast<off_t>(in.tellg()); end > 0;) {
    char block[4096];
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(sizeof block));
    in.seekg(begin);
    in.read(block, end - begin);
    for (off_t i = end - begin; i-- > 0;)
      if (block[i] == '\n') return begin + i + 1;
    end = begin;
  }
  return 0;
}

}  // namespace

Journal::Journal(const fs::path& file) : file_(file) {
  fs::create_directories(file.parent_path());
  fd_ = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0 || ftruncate(fd_, whole_lines(file)) != 0)
    throw Error(fmt::format("cannot open {}: {}", file.string(), std::strerror(errno)));
  syncer_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!closing_) {
      wake_.wait_for(lock, std::chrono::seconds(1));
      if (!dirty_) continue;
      dirty_ = false;
      lock.unlock();
      fdatasync(fd_);
      lock.lock();
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

void Journal::write(std::string line) {
  line += '\n';
  const std::lock_guard lock(mutex_);
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(fd_, line.data() + done, line.size() - done);
    if (n < 0 && errno != EINTR) throw Error(fmt::format("cannot write {}: {}", file_.string(), std::strerror(errno)));
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  dirty_ = true;
}

void Journal::declare(const std::string& stream, const std::vector<Column>& columns) {
  for (const auto& c : columns)
    write(Json{{"stream", stream}, {"column", c.name}, {"unit", c.unit}, {"goal", c.goal}, {"long_name", c.long_name}}.dump());
}

void Journal::row(const std::string& stream, std::int64_t step, double wall, const std::vector<std::pair<std::string, double>>& values) {
  std::string line = fmt::format("{{\"stream\":{},\"step\":{},\"wall\":", Json(stream).dump(), step);
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
  if (fdatasync(fd_) != 0) throw Error(fmt::format("cannot sync {}: {}", file_.string(), std::strerror(errno)));
}

Story read_journal(const fs::path& file) {
  Story out;
  std::ifstream in(file);
  std::map<std::string, std::map<std::int64_t, Json>> rows;
  for (std::string line; std::getline(in, line);) {
    Json j = Json::parse(line, nullptr, false);
    if (!j.is_object()) continue;  // a torn last line of a live journal
    if (j.contains("event")) {
      out.events.name.push_back(j["event"]), out.events.step.push_back(j["step"]), out.events.time.push_back(j["time"]),
          out.events.message.push_back(j["message"]);
    } else if (j.contains("column")) {
      auto& columns = out.streams[j["stream"]].columns;
      std::erase_if(columns, [&](const Column& c) { return c.name == j["column"]; });
      columns.push_back({j["column"], j["unit"], j["goal"], j["long_name"]});
    } else {
      Json& row = rows[j["stream"]][j["step"]];
      row = std::move(j);
    }
  }
  for (const auto& [name, table] : rows) {
    Stream& s = out.streams[name];
    for (const auto& [step, row] : table) {
      s.steps.push_back(step);
      s.wall.push_back(number(row["wall"]));
      for (const auto& c : s.columns)
        s.values[c.name].push_back(row.contains(c.name) ? number(row[c.name]) : std::numeric_limits<double>::quiet_NaN());
    }
  }
  for (auto& [name, s] : out.streams)
    for (const auto& c : s.columns) s.values[c.name].resize(s.steps.size(), std::numeric_limits<double>::quiet_NaN());
  return out;
}

}  // namespace scorelab::record
