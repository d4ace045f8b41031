// The condition of `scorelab ls --where`, tried on a run.
#include "cli/where.h"

#include "target.h"

using namespace scorelab;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const schema::Json run{
      {"mmd", 0.01},    {"train.steps", 6000}, {"state", "done"}, {"variant", "pc"}, {"n", "7"},
      {"clean", false}, {"loss", nullptr},     {"", ""},          {"not", "and"}};
  fuzz::allow_refusal([&] { cli::Where(fuzz::text(data, size)).holds(run); });
  return 0;
}
