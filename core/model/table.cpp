#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/dataset.h>

#include <algorithm>

#include "model/array_files.h"
#include "record/table.h"

namespace scorelab {

namespace fs = std::filesystem;

bool is_table(const fs::path& file) {
  const fs::path unpacked = file.extension() == ".gz" ? file.stem() : file;
  return unpacked.extension() == ".csv" || unpacked.extension() == ".tsv";
}

Table read_table(const fs::path& file) {
  record::Table read = record::parse_table(read_bytes(file), file.string());
  const auto columns = static_cast<std::int64_t>(read.columns),
             count = static_cast<std::int64_t>(read.values.size());
  Table out{.names = std::move(read.names),
            .values = at::empty({columns == 0 ? 0 : count / columns, columns}, at::kDouble)};
  std::copy(read.values.begin(), read.values.end(), out.values.mutable_data_ptr<double>());
  return out;
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
