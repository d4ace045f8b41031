#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace scorelab::record {

/// Numbers in text.
struct Table {
  std::vector<std::string> names;  ///< of the columns; none where the text names none
  std::size_t columns = 0;
  std::vector<double> values;  ///< row by row
};

/// A row a line, separated by commas, semicolons, tabs or blanks: the first of these that the first
/// line has outside of quotes. Where none of its fields is a number, that line names the columns.
/// Empty lines and those that begin with # are passed over. Throws Error with `file` and the line
/// for a field that is no number, and for a row of another length.
Table parse_table(std::string_view text, const std::string& file);

}  // namespace scorelab::record
