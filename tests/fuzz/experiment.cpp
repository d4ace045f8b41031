// experiment.json of a results folder: the launch and its comparison.
#include "cli/results.h"
#include "target.h"

using namespace scorelab;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  fuzz::fs::create_directories(folder.path() / "e");
  folder.write("e/experiment.json", fuzz::text(data, size));
  fuzz::allow_refusal([&] {
    const auto launched = cli::load_launched(folder.path(), "e");
    manifest::comparison_of(launched.comparison);
  });
  return 0;
}
