#include "catalog.h"

#include <fmt/format.h>
#include <scorelab/error.h>
#include <scorelab/version.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>

#include "params/data_path.h"
#include "params/sha256.h"

namespace scorelab::catalog {

std::string identity(const fs::path& file) {
  struct stat s {};
  if (stat(file.c_str(), &s) != 0) return "";
  return fmt::format("{}:{}.{}:{}.{}:{}:{}", s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec,
                     s.st_ctim.tv_sec, s.st_ctim.tv_nsec, s.st_dev, s.st_ino);
}

namespace {

Json stamp_to_json(const Stamp& s) {
  return {{"kind", s.kind},         {"name", s.name},     {"version", s.version},
          {"summary", s.summary},   {"api", s.api},       {"torch", s.torch},
          {"cxx11abi", s.cxx11abi}, {"gxxabi", s.gxxabi}, {"compiler", s.compiler},
          {"source", s.source},     {"sdk", s.sdk}};
}
Stamp stamp_from_json(const Json& j) {
  return {j.at("kind"),     j.at("name"),   j.at("version"),   j.at("summary"),
          j.at("api"),      j.at("torch"),  j.at("cxx11abi"),  j.at("gxxabi"),
          j.at("compiler"), j.at("source"), j.value("sdk", "")};
}

Described described_from_json(const Json& j) {
  Described d;
  d.error = j.value("error", "");
  if (j.contains("schema")) d.schema = schema::from_json(j["schema"]);
  if (j.contains("as_sampler")) d.as_sampler = schema::from_json(j["as_sampler"]);
  return d;
}

}  // namespace

std::string with_article(const std::string& kind) {
  return (std::string("aeiou").find(kind[0]) == std::string::npos ? "a " : "an ") + kind;
}

fs::path program_folder() { return fs::read_symlink("/proc/self/exe").parent_path(); }

fs::path prefix() { return program_folder().parent_path(); }

fs::path shared_files() { return prefix() / "share/scorelab"; }

fs::path built_in_plugins() {
  const fs::path root = program_folder().parent_path();
  return fs::exists(root / "lib/scorelab/plugins") ? root / "lib/scorelab/plugins"
                                                   : root / "plugins";
}

Catalog::Catalog(std::vector<fs::path> folders, fs::path built_in, Ask ask)
    : folders_(std::move(folders)), ask_(std::move(ask)) {
  load();
  for (const auto& folder : folders_) scan(folder, false);
  scan(built_in, true);
  folders_.push_back(std::move(built_in));
}

Catalog::~Catalog() {
  try {
    save();
  } catch (const std::exception&) {
    // a cache that cannot be written is a slower start, nothing else
  }
}

void Catalog::load() {
  files_ = schemas_ = answers_ = Json::object();
  std::ifstream in(cache_folder() / "plugins.json");
  if (!in) return;
  const Json all = Json::parse(in, nullptr, false);
  if (!all.is_object() || all.value("version", "") != SCORELAB_VERSION) return;
  for (const auto& [name, to] :
       {std::pair{"files", &files_}, {"schemas", &schemas_}, {"answers", &answers_}})
    if (all.contains(name) && all[name].is_object()) *to = all[name];
}

void Catalog::save() {
  if (!dirty_) return;
  std::erase_if(files_.get_ref<Json::object_t&>(),
                [](const auto& item) { return !fs::exists(item.first); });
  const fs::path folder = cache_folder(),
                 temporary = folder / fmt::format("plugins.{}.tmp", getpid());
  fs::create_directories(folder);
  std::ofstream(temporary) << Json{
      {"version", SCORELAB_VERSION},
      {"files", files_},
      {"schemas", schemas_},
      {"answers", answers_}}.dump();
  fs::rename(temporary, folder / "plugins.json");
}

void Catalog::scan(const fs::path& folder, bool built_in) {
  std::error_code none;
  std::vector<fs::path> files;
  for (const auto& item : fs::directory_iterator(folder, none))
    if (item.path().extension() == ".so" && item.is_regular_file(none))
      files.push_back(fs::absolute(item.path()).lexically_normal());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const std::string id = identity(file);
    Json& known = files_[file.string()];
    const bool has_stamp =
        known.is_object() &&
        (known.contains("error") || (known.contains("stamp") && known["stamp"].contains("sdk")));
    if (!has_stamp || known.value("id", "") != id) {
      known = {{"id", id}};
      dirty_ = true;
      try {
        known["stamp"] = stamp_to_json(read_stamp(file));
        known["sha256"] = sha256_file(file);
      } catch (const Error& e) {
        known["error"] = e.what();
      }
    }
    if (known.contains("error")) {
      skipped_.push_back({file, known["error"]});
      continue;
    }
    Entry entry{file, stamp_from_json(known["stamp"]), known["sha256"], "", built_in};
    entry.mismatch = mismatch(entry.stamp);
    if (!entry.mismatch.empty()) skipped_.push_back({file, entry.mismatch});
    entries_.push_back(std::move(entry));
  }
}

namespace {

/// Whether a folder's path ends in these parts.
bool ends_in(const fs::path& folder, const fs::path& parts) {
  const std::vector<fs::path> all(folder.begin(), folder.end()), end(parts.begin(), parts.end());
  return end.size() <= all.size() && std::equal(end.rbegin(), end.rend(), all.rbegin());
}

}  // namespace

std::vector<const Entry*> Catalog::all(const std::vector<std::string>& kinds,
                                       const std::string& name) const {
  const auto slash = name.rfind('/');
  const std::string own = slash == name.npos ? name : name.substr(slash + 1);
  const fs::path folder =
      slash == name.npos ? fs::path() : fs::path(name.substr(0, slash)).lexically_normal();
  std::vector<const Entry*> out;
  for (const bool built_in : {true, false})
    for (const auto& e : entries_) {
      if (e.built_in != built_in || e.stamp.name != own ||
          std::find(kinds.begin(), kinds.end(), e.stamp.kind) == kinds.end())
        continue;
      if (!folder.empty() && !(folder == "scorelab" && e.built_in) &&
          !ends_in(e.file.parent_path(), folder))
        continue;
      if (std::none_of(out.begin(), out.end(),
                       [&](const Entry* other) { return other->sha256 == e.sha256; }))
        out.push_back(&e);
    }
  return out;
}

const Entry* Catalog::find(const std::vector<std::string>& kinds, const std::string& name) const {
  const auto found = all(kinds, name);
  return found.empty() ? nullptr : found.front();
}

std::vector<const Entry*> Catalog::of_kind(const std::string& kind) const {
  std::vector<const Entry*> out;
  std::set<std::string> seen;
  for (const auto& e : entries_)
    if (e.stamp.kind == kind && seen.insert(e.stamp.name).second) out.push_back(&e);
  std::sort(out.begin(), out.end(),
            [](const Entry* a, const Entry* b) { return a->stamp.name < b->stamp.name; });
  return out;
}

void Catalog::learn(const std::vector<const Entry*>& entries) {
  std::vector<const Entry*> missing;
  for (const Entry* e : entries)
    if (e->mismatch.empty() && !schemas_.contains(e->sha256)) missing.push_back(e);
  if (missing.empty()) return;
  std::vector<fs::path> files;
  for (const Entry* e : missing) files.push_back(e->file);
  const std::vector<Json> answers = ask_(files);
  for (std::size_t i = 0; i < missing.size(); ++i) {
    // A failure may have passing causes (a library that is missing today), so only answers are
    // kept.
    if (answers[i].contains("error"))
      described_[missing[i]->sha256] = described_from_json(answers[i]);
    else {
      schemas_[missing[i]->sha256] = answers[i];
      dirty_ = true;
    }
  }
}

const Described& Catalog::describe(const Entry& entry) {
  const auto known = described_.find(entry.sha256);
  if (known != described_.end()) return known->second;
  learn({&entry});
  if (schemas_.contains(entry.sha256))
    described_[entry.sha256] = described_from_json(schemas_[entry.sha256]);
  if (!entry.mismatch.empty()) described_[entry.sha256].error = entry.mismatch;
  return described_[entry.sha256];
}

std::string Catalog::hash_of(const fs::path& file) {
  const fs::path path = fs::absolute(file);
  const std::string id = identity(path);
  Json& known = files_[path.string()];
  if (!known.is_object() || known.value("id", "") != id || !known.contains("sha256")) {
    known = {{"id", id}, {"sha256", sha256_file(path)}};
    dirty_ = true;
  }
  return known["sha256"];
}

std::optional<Json> Catalog::recall(const std::string& key) const {
  const auto it = answers_.find(key);
  return it == answers_.end() ? std::nullopt : std::optional<Json>(*it);
}

void Catalog::remember(const std::string& key, Json value) {
  answers_[key] = std::move(value);
  dirty_ = true;
}

}  // namespace scorelab::catalog
