#include "cli/defaults.h"

#include <fmt/format.h>
#include <scorelab/error.h>

namespace scorelab::cli {

namespace fs = std::filesystem;

Json defaults_of(const catalog::Entry& entry, catalog::Catalog& catalog) {
  const auto& described = catalog.describe(entry);
  if (!described.error.empty())
    throw Error(fmt::format("{}: {}", entry.file.string(), described.error));
  const auto& schema = described.as_sampler ? *described.as_sampler : described.schema;
  Json params = Json::object();
  for (const auto& p : schema.params) {
    params[p.name] = p.initial;
    if (p.type != "slot") continue;
    const auto* inner = catalog.find({p.slot}, p.initial.get<std::string>());
    params[p.name] = inner ? defaults_of(*inner, catalog) : Json();
  }
  return {{"plugin", entry.stamp.name},
          {"kind", entry.stamp.kind},
          {"version", entry.stamp.version},
          {"file", fs::absolute(entry.file).string()},
          {"params", params}};
}

}  // namespace scorelab::cli
