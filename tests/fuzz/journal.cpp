// The journal of a stage.
#include "record/journal.h"

#include "target.h"

using namespace scorelab;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const auto file = folder.write("journal.jsonl", fuzz::text(data, size));
  fuzz::allow_refusal([&] { record::read_journal(file); });
  return 0;
}
