#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/dataset.h>

#include <unistd.h>

#include <algorithm>
#include <memory>

#include "model/array_files.h"
#include "record/table.h"

namespace scorelab {

namespace fs = std::filesystem;

bool is_table(const fs::path& file) {
  const fs::path unpacked = file.extension() == ".gz" ? file.stem() : file;
  return unpacked.extension() == ".csv" || unpacked.extension() == ".tsv";
}

Table read_table(const fs::path& file) {
  // two characters may become a number of eight bytes
  const auto memory = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                      static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const auto read = std::make_shared<record::Table>(
      record::parse_table(read_bytes(file, memory / 16), file.string()));
  const auto columns = static_cast<std::int64_t>(read->columns),
             count = static_cast<std::int64_t>(read->values.size());
  if (count == 0) return {read->names, at::empty({0, columns}, at::kDouble)};
  const at::Tensor values = at::from_blob(
      read->values.data(), {count / columns, columns}, [read](void*) {}, at::kDouble);
  return {read->names, values};
}

std::int64_t column_of(const Table& table, const fs::path& file, const std::string& name) {
  const auto found = std::find(table.names.begin(), table.names.end(), name);
  if (found == table.names.end())
    throw Error(fmt::format("{} has no column `{}`; {}", file.string(), name,
                            table.names.empty()
                                ? "its first line names no columns"
                                : fmt::format("it has {}", fmt::join(table.names, ", "))));
  return found - table.names.begin();
}

}  // namespace scorelab
