#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

/// The formats that read_array knows, each in a file of its own.
namespace scorelab {

/// Whether a file begins as a .npz archive does. Throws Error where gzip has packed it.
bool is_archive(const std::filesystem::path& file);
at::Tensor read_numpy(const std::filesystem::path& file, const std::string& name);

at::Tensor read_hdf5(const std::filesystem::path& file, const std::string& name);

/// A .csv or .tsv file, which gzip may have packed: record::parse_table says what it looks like.
struct Table {
  std::vector<std::string> names;  ///< none where the file names no columns
  at::Tensor values;               ///< [rows, columns], float64
};
bool is_table(const std::filesystem::path& file);
Table read_table(const std::filesystem::path& file);
/// The index of a column. Throws Error where there is none of that name.
std::int64_t column_of(const Table& table, const std::filesystem::path& file,
                       const std::string& name);

}  // namespace scorelab
