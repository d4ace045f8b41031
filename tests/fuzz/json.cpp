// stage.json, spec.json and their like.
#include "record/files.h"
#include "target.h"

using namespace scorelab;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const auto file = folder.write("stage.json", fuzz::text(data, size));
  fuzz::allow_refusal([&] {
    const auto json = record::read_json(file);
    for (const auto& value : json) number_of(value);
    json.dump();
  });
  return 0;
}
