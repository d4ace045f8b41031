#pragma once
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "record/files.h"

namespace scorelab::record {

/// What a column of a stream means.
struct Column {
  std::string name, unit = "1", goal = "none", long_name;
};

/// The journal of a stage: one JSON object a line, the truth about what was reported; each line
/// ends in a checksum of its own. A row counts once row() has returned: it is with the kernel then,
/// and outlives the process. Synced to disk every second, by sync() and at the end; a failure to
/// sync is thrown by whatever is called next.
class Journal {
 public:
  /// Opens for appending; cuts a torn last line. Throws Error.
  explicit Journal(const fs::path& file);
  /// Whether the file that was opened is still there: not removed, nor replaced.
  bool in_place() const;
  ~Journal();

  void declare(const std::string& stream, const std::vector<Column>& columns);
  void row(const std::string& stream, std::int64_t step, double wall,
           const std::vector<std::pair<std::string, double>>& values);
  void event(const std::string& name, std::int64_t step, const std::string& message);
  void sync();

 private:
  void write(std::string line);
  fs::path file_;
  int fd_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool dirty_ = false, closing_ = false;
  int failed_ = 0;  // errno of the syncing thread
  std::thread syncer_;
};

struct Stream {
  std::vector<Column> columns;
  std::vector<std::int64_t> steps;
  std::vector<double> wall;
  std::map<std::string, std::vector<double>> values;  ///< NaN where a row lacks it
};

struct Events {
  std::vector<std::string> time, name, message;
  std::vector<std::int64_t> step;
};

/// The lines of a journal whose checksum holds, without it; none where there is no file. Throws
/// Error where it cannot be read.
struct Lines {
  std::vector<Json> lines;
  std::size_t damaged = 0;  ///< lines left out; a torn last one does not count
};
Lines read_lines(const fs::path& file);

/// What a journal says: for each (stream, step) the last row. Lines left out are an event,
/// `damaged-journal`.
struct Story {
  std::map<std::string, Stream> streams;
  Events events;
  std::size_t damaged = 0;
};
Story read_journal(const fs::path& file);

}  // namespace scorelab::record
