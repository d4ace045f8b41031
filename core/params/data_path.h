#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "params/schema.h"

namespace scorelab {

/// Where data sets are looked for, in order: SCORELAB_DATA (a colon-separated list), or else `data`
/// and $XDG_DATA_HOME/scorelab (by default ~/.local/share/scorelab); last, what scorelab ships.
std::vector<std::filesystem::path> data_folders();

/// What scorelab may compute again: SCORELAB_CACHE, or else $XDG_CACHE_HOME/scorelab (by default
/// ~/.cache/scorelab; without a home, a folder for temporary files).
std::filesystem::path cache_folder();

/// A file that a component reads: its name below the data folder, and where it is.
struct DataFile {
  std::string name;
  std::filesystem::path path;
};
/// What a declared name, `{set}/train-*.bin`, stands for with these parameter values: a file, it
/// with `.gz`, all that a `*` in the last part matches, or all files below a folder; from the first
/// data folder that has any. Sorted by name; empty where there is none. Throws Error where there
/// are more than ten million.
std::vector<DataFile> data_files(const std::string& declared, const schema::Json& values);
/// The name with the values in it.
std::string data_name(const std::string& declared, const schema::Json& values);

/// While it lives, find_data on this thread finds these files only, and folders that hold them:
/// what a component declared.
class DeclaredData {
 public:
  explicit DeclaredData(const schema::Json& files);  ///< {path: SHA-256}
  ~DeclaredData();
  DeclaredData(const DeclaredData&) = delete;
  DeclaredData& operator=(const DeclaredData&) = delete;

 private:
  std::map<std::string, std::string> files_;
  const std::map<std::string, std::string>* before_;
};

/// The SHA-256 of a file's contents: of one that is declared, as it was planned with.
std::string contents_of(const std::filesystem::path& file);

/// From here on find_data finds nothing outside of a DeclaredData: what a plugin reads later would
/// be in no key.
void allow_declared_data_only();

}  // namespace scorelab
