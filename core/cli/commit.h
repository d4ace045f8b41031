#pragma once
#include <filesystem>
#include <string>

namespace scorelab::cli {

/// The commit of the git repository that a folder lies in, and what is changed beside it; both
/// empty where there is none. Nothing that the repository configures is run: no hook, filter,
/// monitor or external diff.
struct Commit {
  std::string sha, diff;  ///< diff: UTF-8, other bytes as \xNN; cut after 60,000 bytes
};
Commit commit_of(const std::filesystem::path& folder);

}  // namespace scorelab::cli
