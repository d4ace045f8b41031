#pragma once
#include "catalog/catalog.h"

namespace scorelab::cli {

using schema::Json;

/// A plugin as a component, with its default parameters and those of the components in its slots.
/// Throws Error where the plugin cannot be described.
Json defaults_of(const catalog::Entry& entry, catalog::Catalog& catalog);

}  // namespace scorelab::cli
