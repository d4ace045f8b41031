#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "catalog/catalog.h"

namespace scorelab::cli {

using schema::Json;

/// What each network weighs, a line each; `networks` as ask_plugins gives them.
std::string networks_text(const Json& networks);

/// The table of a network's layers, with a preset, for samples of this shape: each module's tensors
/// and how many numbers they have. Throws Error where there is no such preset, or where the network
/// takes no such samples.
std::string layers_text(const catalog::Entry& entry, const std::string& preset,
                        const std::vector<std::int64_t>& shape, catalog::Catalog& catalog);

}  // namespace scorelab::cli
