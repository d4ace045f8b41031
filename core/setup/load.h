#pragma once
#include <scorelab/component.h>

#include <filesystem>
#include <memory>
#include <string>

#include "catalog/stamp.h"

namespace scorelab::host {

/// A loaded plugin. Never unloaded: LibTorch's graph and exceptions may point into it until the
/// process ends.
struct Plugin {
  catalog::Stamp stamp;
  std::filesystem::path file;
  Component* (*create)() = nullptr;
};

/// Loads a file once; its stamp is read and compared before. Throws Error: not a plugin, another
/// ABI, not the file with this SHA-256 (empty: any), not trusted, will not load (the loader's
/// text).
const Plugin& load(const std::filesystem::path& file, const std::string& sha256 = "");

/// A new component of a plugin; its constructor's exceptions become Error with kind, name and file.
std::shared_ptr<Component> create(const Plugin& plugin);

}  // namespace scorelab::host
