#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace scorelab::catalog {

/// What a plugin says of itself in its ELF section `scorelab`, read without loading it.
struct Stamp {
  std::string kind, name, version, summary, api, torch, cxx11abi, gxxabi, compiler, source, sdk;
};

/// Reads the stamp; throws Error that says which: not an ELF file, truncated, not a plugin.
Stamp read_stamp(const std::filesystem::path& file);

/// Why a plugin with this stamp cannot be loaded here: both versions and the cure; empty if it can.
std::string mismatch(const Stamp& stamp);

/// The functions and objects that a shared library exports, sorted.
std::vector<std::string> exported_symbols(const std::filesystem::path& file);

}  // namespace scorelab::catalog
