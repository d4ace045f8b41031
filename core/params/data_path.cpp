#include "params/data_path.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/data_path.h>
#include <scorelab/error.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "params/sha256.h"

namespace scorelab {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_files = 10000000;

thread_local const std::map<std::string, std::string>* declared_files = nullptr;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// `*` stands for any text.
bool matches(const std::string& name, const std::string& pattern) {
  const auto star = pattern.find('*');
  if (star == pattern.npos) return name == pattern;
  const std::string head = pattern.substr(0, star), tail = pattern.substr(star + 1);
  return name.size() >= head.size() + tail.size() && name.rfind(head, 0) == 0 &&
         name.compare(name.size() - tail.size(), tail.size(), tail) == 0;
}

std::vector<DataFile> found_in(const fs::path& folder, const std::string& name) {
  std::vector<DataFile> out;
  std::error_code none;
  const auto add = [&](const fs::path& path) {
    out.push_back(
        {path.lexically_relative(folder).string(), fs::absolute(path).lexically_normal()});
    if (out.size() > most_files)
      throw Error(fmt::format("{} holds more than {} files", (folder / name).string(), most_files));
  };
  const fs::path path = folder / name;
  if (name.find('*') != name.npos) {
    for (const auto& entry : fs::directory_iterator(path.parent_path(), none))
      if (entry.is_regular_file(none) &&
          matches(entry.path().filename().string(), path.filename().string()))
        add(entry.path());
  } else if (fs::is_directory(path, none)) {
    std::error_code error;
    // links to folders are followed: large sets often lie elsewhere
    fs::recursive_directory_iterator entry(path, fs::directory_options::follow_directory_symlink,
                                           error);
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error))
      if (entry->is_regular_file(none)) add(entry->path());
    if (error)
      throw Error(fmt::format("cannot look through {}: {}", path.string(), error.message()));
  } else {
    for (const fs::path& one : {fs::path(path.string() + ".gz"), path})
      if (out.empty() && fs::is_regular_file(one, none)) add(one);
  }
  std::sort(out.begin(), out.end(),
            [](const DataFile& a, const DataFile& b) { return a.name < b.name; });
  return out;
}

bool only_declared = false;

bool is_declared(const fs::path& path) {
  if (!declared_files) return !only_declared;
  std::string own = fs::absolute(path).lexically_normal().string();
  if (own.size() > 1 && own.back() == '/') own.pop_back();
  if (declared_files->contains(own)) return true;
  const auto below = declared_files->lower_bound(own + "/");
  return below != declared_files->end() && below->first.rfind(own + "/", 0) == 0;
}

}  // namespace

std::vector<fs::path> data_folders() {
  std::vector<fs::path> out;
  if (const std::string set = environment("SCORELAB_DATA"); !set.empty()) {
    std::stringstream list(set);
    for (std::string folder; std::getline(list, folder, ':');)
      if (!folder.empty()) out.emplace_back(folder);
  } else {
    out.emplace_back("data");
    const std::string home = environment("HOME"), data = environment("XDG_DATA_HOME");
    if (!data.empty() || !home.empty())
      out.push_back(data.empty() ? fs::path(home) / ".local/share/scorelab"
                                 : fs::path(data) / "scorelab");
  }
  out.push_back(fs::read_symlink("/proc/self/exe").parent_path().parent_path() /
                "share/scorelab/data");
  return out;
}

std::string data_name(const std::string& declared, const schema::Json& values) {
  std::string out;
  for (std::size_t i = 0; i < declared.size(); ++i) {
    const auto end = declared[i] == '{' ? declared.find('}', i) : declared.npos;
    if (end == declared.npos) {
      out += declared[i];
      continue;
    }
    out += schema::text(values.value(declared.substr(i + 1, end - i - 1), schema::Json("")));
    i = end;
  }
  return out;
}

namespace {

std::vector<DataFile> found(const std::string& name) {
  for (const auto& folder : data_folders())
    if (auto out = found_in(folder, name); !out.empty()) return out;
  return {};
}

}  // namespace

std::vector<DataFile> data_files(const std::string& declared, const schema::Json& values) {
  return found(data_name(declared, values));
}

DeclaredData::DeclaredData(const schema::Json& files)
    : files_(files.get<std::map<std::string, std::string>>()), before_(declared_files) {
  declared_files = &files_;
}
DeclaredData::~DeclaredData() { declared_files = before_; }

std::string contents_of(const fs::path& file) {
  if (declared_files) {
    const auto it = declared_files->find(fs::absolute(file).lexically_normal().string());
    if (it != declared_files->end()) return it->second;
  }
  return sha256_file(file);
}

fs::path cache_folder() {
  if (const std::string set = environment("SCORELAB_CACHE"); !set.empty()) return set;
  if (const std::string set = environment("XDG_CACHE_HOME"); !set.empty())
    return fs::path(set) / "scorelab";
  if (const std::string home = environment("HOME"); !home.empty())
    return fs::path(home) / ".cache/scorelab";
  return fs::temp_directory_path() / fmt::format("scorelab-{}", getuid());
}

void allow_declared_data_only() { only_declared = true; }

std::vector<fs::path> find_files(const std::string& pattern) {
  std::vector<fs::path> out;
  for (const auto& file : found(pattern))
    if (is_declared(file.path)) out.push_back(file.path);
  if (out.empty()) find_data(pattern);  // throws: it is no file's name
  return out;
}

fs::path find_data(const std::string& name) {
  std::vector<std::string> searched;
  std::string undeclared;
  for (const auto& folder : data_folders()) {
    searched.push_back((folder / name).string());
    if (!fs::exists(folder / name)) continue;
    if (is_declared(folder / name)) return folder / name;
    undeclared = (folder / name).string();
  }
  if (!undeclared.empty())
    throw Error(
        fmt::format("{} is not declared: p.reads(\"..\") in params() must name what is read, and "
                    "prepare() is where it is read, so that results know of it",
                    undeclared));
  throw Error(
      fmt::format("the data set's files were not found; searched {}; set SCORELAB_DATA to the "
                  "folder that holds {}",
                  fmt::join(searched, ", "), name));
}

}  // namespace scorelab
