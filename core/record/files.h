#pragma once
#include <scorelab/error.h>

#include <filesystem>
#include <functional>
#include <string>

#include "params/number.h"
#include "params/schema.h"

namespace scorelab::record {

namespace fs = std::filesystem;
using schema::Json;

/// A stored file that is not what was written there: changed bytes, another place's file, another
/// shape.
class Damaged : public Error {
 public:
  Damaged(const fs::path& file, const std::string& why);
};

/// The system refused: no space, no permission, a failing disk. What is stored is not to blame, nor
/// is a plugin.
class IoError : public Error {
 public:
  using Error::Error;
};

/// "cannot WHAT FILE: the system's words for `error`; what to do about it". `error` is an errno.
IoError io_error(const std::string& what, const fs::path& file, int error);

/// The system's words for an errno, and what to do about it.
std::string cause_of(int error);
/// Makes a folder and those above it. Throws IoError.
void make_folder(const fs::path& folder);

/// Throws Error where a folder between a results folder and this file in it is a link: nothing is
/// written through one, since a results folder may come from a stranger. The results folder itself
/// may be a link.
void expect_no_links(const fs::path& file);

/// Renames, and syncs the folder. Throws IoError.
void rename_file(const fs::path& from, const fs::path& to);

/// Writes a file whole: under a temporary name, every call checked, synced, read back and compared,
/// renamed, the folder synced. Throws Error, and leaves the file that was there.
void write_whole(const fs::path& file, const std::string& bytes);
/// The same for a file that `write` makes, and verifies, under the name it is given.
void replace_whole(const fs::path& file,
                   const std::function<void(const fs::path& temporary)>& write);

/// Removes what killed writers left in a folder and below: the temporary files of processes that
/// are no more.
void remove_stale(const fs::path& folder);

/// A file's text. Throws Error where it cannot be read, is no regular file or is longer than
/// `limit` bytes.
std::string read_whole(const fs::path& file, std::size_t limit);

/// The JSON value of a text; null where it is none. Throws Error where it is nested more than 100
/// deep.
Json parse_shallow(const std::string& text);

/// JSON objects of ours carry a checksum. read_json throws Damaged where it does not hold; null
/// where there is no file.
void write_json(const fs::path& file, Json object);
Json read_json(const fs::path& file);
/// What `read` makes of a file's JSON; its complaints of a missing key or another type become
/// Damaged.
template <class F>
auto shaped(const fs::path& file, F&& read) {
  try {
    return read();
  } catch (const Json::exception& e) {
    throw Damaged(file, std::string("it has another shape than expected: ") + e.what());
  } catch (const schema::Misshapen& e) {
    throw Damaged(file, e.what());
  }
}
/// A stage's stage.json under the label that a metric has now: `what` is `evaluate LABEL`; a metric
/// is measured once, whatever it is called.
Json relabelled(Json done, const std::string& what);
/// `name` with the label `from` in front replaced by `to`.
std::string relabelled(const std::string& name, const std::string& from, const std::string& to);

/// A stage's folder in a results folder.
fs::path stage_folder(const fs::path& results, const std::string& key);
/// The stage that a folder lies in, by its own folder's name; empty outside of .stages.
std::string stage_of(const fs::path& folder);
/// Whether a name in .stages is one that stage_folder gives: 24 hexadecimal digits.
bool is_stage_name(const std::string& name);
/// Whether this is a stage's key: 64 hexadecimal digits.
bool is_key(const std::string& text);

/// The claim on a stage: a lock on a file that stays while the folder lives. The kernel frees it
/// when its process ends. Throws Error where the file system has no locks.
class Claim {
 public:
  /// Tries at once; with patience, for 0.2 s: whoever looks whether a stage is running holds its
  /// lock for a moment.
  explicit Claim(const fs::path& stage_folder, bool patient = false);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  bool held() const { return held_; }
  /// Whether the folder that was claimed is still there: not removed, nor removed and made anew.
  bool in_place() const;

 private:
  fs::path file_;
  int fd_ = -1;
  bool held_ = false;
};

/// Whether a process holds the claim on a stage. Needs no permission to write.
bool is_claimed(const fs::path& stage_folder);

/// A lock on a whole results folder: many planners at once, or one that removes. Waits for it.
class ResultsLock {
 public:
  enum class Mode { plan, remove };
  ResultsLock(const fs::path& results, Mode mode);
  ~ResultsLock();
  ResultsLock(const ResultsLock&) = delete;
  ResultsLock& operator=(const ResultsLock&) = delete;

 private:
  int fd_ = -1;
};

/// What a stage that is done says of itself: its stage.json. While a sampling is extended for
/// another run it has none, and what it said before still holds for whoever asked for no more: that
/// is given where it tells of at least `count` samples and `trace` paths. Null where there is none.
/// Throws Damaged.
Json read_done(const fs::path& stage_folder, std::int64_t count, std::int64_t trace);
/// A stage lacks something that is asked for now, and is done no longer: removes its stage.json.
/// What a sampling said in it stays for read_done.
void set_aside(const fs::path& stage_folder);
/// Takes back that a stage is done, so that the next run makes again what it lacks.
void reopen(const fs::path& stage_folder);

/// Opens /dev/null where stdin, stdout or stderr is closed: a file of ours that took its number
/// would be written into.
void open_standard_descriptors();

/// The time now, ISO 8601 in UTC.
std::string now();

}  // namespace scorelab::record
