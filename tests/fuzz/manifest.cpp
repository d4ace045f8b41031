// A manifest's file: TOML with what it extends, the tables of a comparison, every cell, and what is
// recorded and printed of them.
#include "manifest/comparison.h"
#include "manifest/read.h"
#include "target.h"

using namespace scorelab;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const auto file = folder.write("m.toml", fuzz::text(data, size));
  fuzz::allow_refusal([&] {
    manifest::Sources sources;
    std::vector<manifest::Diagnostic> problems;
    if (const auto root = manifest::read_manifest(file, sources, problems)) {
      manifest::Findings findings(sources);
      const auto comparison = manifest::read_comparison(*root, "m", findings);
      const auto cells = manifest::expand(comparison, *root, {}, findings);
      for (std::size_t i = 0; i < cells.size() && i < 4; ++i)
        manifest::to_json(cells[i].root).dump();
      manifest::comparison_of(manifest::Json::parse(manifest::to_json(comparison).dump()));
      for (auto& d : findings.all()) problems.push_back(std::move(d));
    }
    for (const auto& d : problems) manifest::render(d, sources);
  });
  return 0;
}
