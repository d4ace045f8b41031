#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/stamp.h"
#include "params/schema.h"

namespace scorelab::catalog {

namespace fs = std::filesystem;
using schema::Json;
using schema::Schema;

/// A plugin file whose stamp could be read.
struct Entry {
  fs::path file;
  Stamp stamp;
  std::string sha256, mismatch;  ///< mismatch: why it cannot be loaded here; empty if it can
  bool built_in = false;         ///< from scorelab's own plugin folder
};

/// A file in a plugin folder that is no usable plugin, and why.
struct Skipped {
  fs::path file;
  std::string reason;
};

/// A schema, or why there is none (throws in its constructor, will not load, ..).
struct Described {
  Schema schema;
  std::optional<Schema> as_sampler;  ///< of a step that stands alone: with core's time grid
  std::string error;
};

/// The plugins in a list of folders, and their schemas, which one run of the host learns and a
/// cache keeps by the file's SHA-256.
class Catalog {
 public:
  /// Asks the host about files: one JSON answer each. Set by the front end.
  using Ask = std::function<std::vector<Json>(const std::vector<fs::path>&)>;

  Catalog(std::vector<fs::path> folders, fs::path built_in, Ask ask);
  ~Catalog();

  /// The plugins of these kinds with this name, scorelab's own first. `FOLDER/NAME` names one of a
  /// folder (the end of its path), or of `scorelab`. Several: the name is not enough, unless their
  /// files are the same.
  std::vector<const Entry*> all(const std::vector<std::string>& kinds,
                                const std::string& name) const;
  /// The first of them; null if there is none.
  const Entry* find(const std::vector<std::string>& kinds, const std::string& name) const;
  std::vector<const Entry*> of_kind(const std::string& kind) const;
  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<Skipped>& skipped() const { return skipped_; }
  const std::vector<fs::path>& folders() const { return folders_; }
  /// Learns the schemas of many at once; `describe` alone learns one.
  void learn(const std::vector<const Entry*>& entries);
  const Described& describe(const Entry& entry);

  /// The SHA-256 of a file's contents, kept by its size, times and inode. Throws Error.
  std::string hash_of(const fs::path& file);

  /// A cached answer for any key, such as a component's own verdict on its parameters; kept beside
  /// the schemas.
  std::optional<Json> recall(const std::string& key) const;
  void remember(const std::string& key, Json value);

 private:
  void scan(const fs::path& folder, bool built_in);
  void load();
  void save();

  std::vector<fs::path> folders_;
  Ask ask_;
  std::vector<Entry> entries_;
  std::vector<Skipped> skipped_;
  std::map<std::string, Described> described_;  // by SHA-256
  Json files_, schemas_, answers_;
  bool dirty_ = false;
};

/// "a step", "an objective".
std::string with_article(const std::string& kind);

/// Size, times and inode: a file with the same of these has the same contents. Empty where there is
/// no such file.
std::string identity(const fs::path& file);

/// Scorelab's own files, found from the running program: bin/scorelab has plugins/ (build) or
/// lib/scorelab/plugins (installed) beside bin.
fs::path program_folder();
fs::path prefix();        ///< what CMAKE_PREFIX_PATH needs
fs::path shared_files();  ///< templates, experiments, data
fs::path built_in_plugins();

}  // namespace scorelab::catalog
