#include "cli/commit.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <sstream>

#include "manifest/text.h"
#include "process/process.h"
#include "record/files.h"

namespace scorelab::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_diff = 60000;

/// A small text file; empty where it is not there.
std::string text_of(const fs::path& file) {
  std::error_code none;
  if (!fs::is_regular_file(file, none)) return "";
  try {
    return record::read_whole(file, std::size_t{1} << 24);
  } catch (const Error&) {
    return "";
  }
}

std::string first_line(const fs::path& file) {
  std::string text = text_of(file);
  text = text.substr(0, text.find('\n'));
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

struct Repository {
  fs::path top, git, common;  ///< the work tree, its git folder, and that of all its work trees
};

std::optional<Repository> repository_of(const fs::path& folder) {
  std::error_code none;
  for (fs::path at = fs::absolute(folder.empty() ? "." : folder, none).lexically_normal();
       !at.empty(); at = at.parent_path()) {
    fs::path git = at / ".git";
    if (fs::is_regular_file(git, none)) {  // a work tree of a repository elsewhere
      const std::string line = first_line(git);
      if (line.rfind("gitdir: ", 0) != 0) return {};
      git = at / line.substr(8);
    }
    if (fs::is_directory(git, none)) {
      const std::string common = first_line(git / "commondir");
      return Repository{at, git, common.empty() ? git : (git / common).lexically_normal()};
    }
    if (at == at.root_path()) return {};
  }
  return {};
}

bool is_sha(const std::string& text) {
  return (text.size() == 40 || text.size() == 64) &&
         text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string head_of(const Repository& r) {
  std::string head = first_line(r.git / "HEAD");
  for (int hops = 0; hops < 5 && head.rfind("ref: ", 0) == 0; ++hops) {
    const std::string name = head.substr(5);
    if (name.rfind("refs/", 0) != 0 || name.find("..") != name.npos) return "";
    head = first_line(r.git / name);
    if (head.empty()) head = first_line(r.common / name);
    if (!head.empty()) continue;
    std::istringstream packed(text_of(r.common / "packed-refs"));
    for (std::string line; std::getline(packed, line);)
      if (const auto space = line.find(' '); space != line.npos && line.substr(space + 1) == name)
        head = line.substr(0, space);
  }
  return is_sha(head) ? head : "";
}

/// The changes, by git itself in a git folder of our own: it has the repository's objects and
/// index, and none of its configuration.
std::string diff_of(const Repository& r, const std::string& sha) {
  std::error_code none;
  std::string name = (fs::temp_directory_path(none) / "scorelab-git-XXXXXX").string();
  const auto unknown = [](const std::string& why) {
    return fmt::format("[what is changed is not known: {}]", why);
  };
  if (none || !mkdtemp(name.data())) return unknown("there is no folder for temporary files");
  const fs::path own = name;
  std::string out;
  try {
    fs::create_directories(own / "objects/info");
    fs::create_directories(own / "refs");
    std::ofstream(own / "HEAD") << sha << "\n";
    std::ofstream(own / "objects/info/alternates")
        << fs::absolute(r.common / "objects").string() << "\n";
    std::ofstream(own / "config") << "[core]\n\trepositoryformatversion = "
                                  << (sha.size() == 64
                                          ? "1\n[extensions]\n\tobjectformat = sha256\n"
                                          : "0\n");
    for (const auto& entry : fs::directory_iterator(r.git))
      if (const std::string file = entry.path().filename();
          (file == "index" || file.rfind("sharedindex.", 0) == 0) && entry.is_regular_file())
        fs::copy_file(entry.path(), own / file);
    const Ended git = run_program({{"git", "--no-pager", "diff", "--no-ext-diff", "--no-textconv",
                                    "--no-color", "--ignore-submodules=all", sha},
                                   "",
                                   r.top,
                                   {{"GIT_DIR", own.string()},
                                    {"GIT_WORK_TREE", r.top.string()},
                                    {"GIT_CONFIG_GLOBAL", "/dev/null"},
                                    {"GIT_CONFIG_NOSYSTEM", "1"},
                                    {"GIT_CONFIG_COUNT", "0"},
                                    {"GIT_CONFIG_PARAMETERS", ""},
                                    {"GIT_EXTERNAL_DIFF", ""},
                                    {"GIT_ATTR_NOSYSTEM", "1"},
                                    {"GIT_OPTIONAL_LOCKS", "0"}}});
    out =
        git.code == 0 ? git.output : unknown(fmt::format("git diff ended with code {}", git.code));
  } catch (const std::exception& e) {  // the run goes on without it
    out = unknown(e.what());
  }
  fs::remove_all(own, none);
  return out;
}

}  // namespace

Commit commit_of(const fs::path& folder) {
  const auto repository = repository_of(folder);
  if (!repository) return {};
  Commit out{head_of(*repository), ""};
  if (out.sha.empty()) return out;
  std::string diff = diff_of(*repository, out.sha);
  const std::size_t size = diff.size();
  out.diff = manifest::as_utf8(manifest::cut(diff, longest_diff));
  if (size > longest_diff) out.diff += fmt::format("\n[cut: {} bytes in all]\n", size);
  return out;
}

}  // namespace scorelab::cli
