#include "setup/load.h"

#include <fmt/format.h>

#include <boost/dll/shared_library.hpp>
#include <map>
#include <mutex>

#include "catalog/catalog.h"
#include "catalog/trust.h"
#include "params/sha256.h"
#include "setup/crash.h"

namespace scorelab::host {
namespace {

/// Boost writes `.. failed (dlerror system message: TEXT): ERRNO`, and errno is of an unrelated
/// call.
std::string loader_text(const std::string& what) {
  const std::string mark = "dlerror system message: ";
  const auto begin = what.find(mark), end = what.rfind("): ");
  return begin == what.npos ? what
                            : what.substr(begin + mark.size(),
                                          end == what.npos ? what.npos : end - begin - mark.size());
}

}  // namespace

const Plugin& load(const std::filesystem::path& file, const std::string& sha256) {
  static std::mutex mutex;
  // Leaked on purpose, the libraries with it.
  static auto& loaded = *new std::map<std::string, std::pair<Plugin, boost::dll::shared_library>>;
  const std::lock_guard lock(mutex);
  const std::string name = std::filesystem::absolute(file).string();
  if (const auto it = loaded.find(name); it != loaded.end()) return it->second.first;
  const auto fail = [&](const std::string& why) {
    return Error(fmt::format("{}\n  file: {}", why, name));
  };
  catalog::Stamp stamp;
  try {
    stamp = catalog::read_stamp(file);
  } catch (const Error& e) {
    throw fail(e.what());
  }
  if (const std::string why = catalog::mismatch(stamp); !why.empty()) throw fail(why);
  const std::string hash = sha256_file(file);
  if (!sha256.empty() && hash != sha256)
    throw fail("is not the file that was planned with: it has another SHA-256");
  const auto folder =
      std::filesystem::weakly_canonical(std::filesystem::absolute(file)).parent_path();
  // A copy in a results folder came with the results, whatever folder these lie in.
  const bool trusted = folder.filename() != ".plugins" &&
                       (folder == std::filesystem::weakly_canonical(catalog::built_in_plugins()) ||
                        catalog::is_trusted(folder));
  if (!trusted && !catalog::is_known_program(hash))
    throw fail(
        "is a program that you have not trusted: it came with the results; run the manifest again, "
        "or name its folder in SCORELAB_TRUST");
  boost::dll::shared_library library;
  try {
    const Entering entering(stamp.kind, stamp.name);
    library.load(name, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    Plugin plugin{std::move(stamp), file, nullptr};
    plugin.create = &library.get<Component*()>("scorelab_create");
    return loaded.emplace(name, std::pair(std::move(plugin), std::move(library)))
        .first->second.first;
  } catch (const boost::system::system_error& e) {
    throw fail("will not load: " + loader_text(e.what()));
  }
}

std::shared_ptr<Component> create(const Plugin& plugin) {
  const Entering entering(plugin.stamp.kind, plugin.stamp.name);
  try {
    return std::shared_ptr<Component>(plugin.create());
  } catch (const std::exception& e) {
    throw Error(
        fmt::format("throws when it is made: {}\n  file: {}", e.what(), plugin.file.string()));
  } catch (...) {
    throw Error(
        fmt::format("throws when it is made, something that is no std::exception\n  file: {}",
                    plugin.file.string()));
  }
}

}  // namespace scorelab::host
