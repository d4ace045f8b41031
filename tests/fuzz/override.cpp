// The arguments of -s and -x, merged into a manifest as the command line does.
#include "manifest/comparison.h"
#include "manifest/read.h"
#include "target.h"

using namespace scorelab;

namespace {

template <class Read>
void merged(const Read& read, const std::string& argument) {
  fuzz::allow_refusal([&] {
    manifest::Sources sources;
    std::vector<manifest::Diagnostic> problems;
    const auto over = read(argument, sources, problems);
    for (const auto& d : problems) manifest::render(d, sources);
    if (!over) return;
    manifest::Node root;
    for (const auto* before :
         {"sampler=\"ancestral\"", "sampler.steps=10", "sweep.w.key=\"sampler.steps\""}) {
      const auto node = manifest::read_override(before, sources, problems);
      if (node) manifest::merge(root, *node, manifest::Merge::carry);
    }
    manifest::merge(root, *over, manifest::Merge::carry);
    manifest::Findings findings(sources);
    const auto comparison = manifest::read_comparison(root, "m", findings);
    manifest::to_json(comparison).dump();
    const auto cells = manifest::expand(comparison, root, {*over}, findings);
    for (std::size_t i = 0; i < cells.size() && i < 4; ++i) manifest::to_json(cells[i].root).dump();
    for (const auto& d : findings.all()) manifest::render(d, sources);
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string argument = fuzz::text(data, size);
  if (argument.find('\0') != argument.npos) return 0;  // no argument of a program holds one
  merged(manifest::read_override, argument);
  const auto axis = [](const std::string& a, manifest::Sources& sources,
                       std::vector<manifest::Diagnostic>& problems) {
    return manifest::read_axis(a, {}, sources, problems);
  };
  merged(axis, argument);
  return 0;
}
