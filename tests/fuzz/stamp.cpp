// A file in a plugin folder: its stamp and the symbols that it exports.
#include "catalog/stamp.h"

#include "target.h"

using namespace scorelab;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const auto file = folder.write("plugin.so", fuzz::text(data, size));
  fuzz::allow_refusal([&] { catalog::mismatch(catalog::read_stamp(file)); });
  fuzz::allow_refusal([&] { catalog::exported_symbols(file); });
  return 0;
}
