// Weights in the safetensors format, each of their tensors.
#include "record/safetensors.h"
#include "target.h"

using namespace scorelab;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const auto file = folder.write("weights.safetensors", fuzz::text(data, size));
  fuzz::allow_refusal([&] {
    record::Safetensors weights(file);
    for (const auto& name : weights.names()) fuzz::allow_refusal([&] { weights.read(name); });
  });
  return 0;
}
