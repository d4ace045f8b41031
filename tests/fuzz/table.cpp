// Numbers in text: whole rows or a refusal.
#include "record/table.h"

#include <cstdlib>

#include "target.h"

using namespace scorelab;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::allow_refusal([&] {
    const record::Table table = record::parse_table(fuzz::text(data, size), "fuzz.csv");
    const bool whole =
        table.columns == 0 ? table.values.empty() : table.values.size() % table.columns == 0;
    if (!whole || (!table.names.empty() && table.names.size() != table.columns)) std::abort();
  });
  return 0;
}
