#pragma once
#include <optional>
#include <string>
#include <vector>

namespace scorelab::manifest {

/// A place in a source: a manifest, or an argument of the command line.
struct Position {
  int source = -1;  ///< index into Sources; -1: nowhere
  int line = 0, column = 0, length = 1;
};

/// The texts that positions point into.
class Sources {
 public:
  /// `folder`: what paths in a manifest are relative to; nothing for the command line.
  int add(std::string name, std::string text, std::optional<std::string> folder = {});
  const std::string& name(int source) const { return files_[source].name; }
  const std::string& text(int source) const { return files_[source].text; }
  /// The folder of the file that a place is in; that of the first file for the command line.
  const std::string& folder(const Position& at) const;
  /// `train.toml:3:8`.
  std::string place(const Position& at) const;
  std::string line(const Position& at) const;

 private:
  struct File {
    std::string name, text;
    std::optional<std::string> folder;
  };
  std::vector<File> files_;
};

struct Diagnostic {
  Position at;
  std::string message;
  std::string hint;                ///< behind the caret: `did you mean ..?`, what is allowed
  std::vector<std::string> notes;  ///< further lines, each after `= `
  /// a plugin or device that cannot be used here, not a mistake in the manifest
  bool unavailable = false;
  bool warning = false;  ///< it works, and may still mislead
};

/// A problem as the user reads it: message, place, the source line, a caret, the hint, the notes.
std::string render(const Diagnostic& diagnostic, const Sources& sources);

/// The nearest of some names (Damerau-Levenshtein distance at most 2, or a third of the length; or
/// the name that this one begins, or that is a word of it), or nothing.
std::string nearest(const std::string& name, const std::vector<std::string>& names);
/// "did you mean `NEAREST`?", or "WHAT: " and all names.
std::string suggestion(const std::string& name, const std::vector<std::string>& names,
                       const std::string& what);

}  // namespace scorelab::manifest
