#pragma once
#include <filesystem>
#include <string>

#include "params/schema.h"

namespace scorelab::record {

namespace fs = std::filesystem;
using schema::Json;

/// Writes a file whole: under a temporary name, synced, renamed, the folder synced. Throws Error.
void write_whole(const fs::path& file, const std::string& bytes);
/// The same for a file that `write` makes under the name it is given.
void replace_whole(const fs::path& file, const std::function<void(const fs::path& temporary)>& write);

/// Removes what killed writers left in a folder and below: the temporary files of processes that are no more.
void remove_stale(const fs::path& folder);

Json read_json(const fs::path& file);  ///< throws Error; null where there is no file
double number_of(const Json& value);   ///< a number, or one of the words nan, inf and -inf, as records have them

/// A stage's folder in a results folder.
fs::path stage_folder(const fs::path& results, const std::string& key);

/// The claim on a stage: a lock on a file that stays while the folder lives. The kernel frees it when its process ends.
class Claim {
 public:
  /// Tries at once; with patience, for 0.2 s: whoever looks whether a stage is running holds its lock for a moment.
  explicit Claim(const fs::path& stage_folder, bool patient = false);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

/// The time now, ISO 8601 in UTC.
std::string now();

}  // namespace scorelab::record
