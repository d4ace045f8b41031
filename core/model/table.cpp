#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/dataset.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "model/array_files.h"

namespace scorelab {
namespace {

namespace fs = std::filesystem;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// The fields of a line, without the quotes around them.
void split(std::string_view line, char separator, std::vector<std::string_view>& out) {
  out.clear();
  for (std::size_t at = 0; at <= line.size();) {
    if (separator == ' ')
      while (at < line.size() && is_blank(line[at])) ++at;
    std::size_t end = at;
    for (bool quoted = false; end < line.size(); ++end) {
      if (line[end] == '"') quoted = !quoted;
      if (!quoted && (line[end] == separator || (separator == ' ' && is_blank(line[end])))) break;
    }
    std::string_view field = trimmed(line.substr(at, end - at));
    if (field.size() >= 2 && field.front() == '"' && field.back() == '"')
      field = field.substr(1, field.size() - 2);
    out.push_back(field);
    at = end + 1;
  }
}

/// Whether a field is a number, in full.
bool parse(std::string_view field, double& value) {
  if (field.starts_with('+')) field.remove_prefix(1);
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  return error == std::errc() && end == field.data() + field.size();
}

/// The first of these that a line has outside of quotes.
char separator_of(std::string_view line) {
  for (const char c : {',', ';', '\t'}) {
    bool quoted = false;
    for (const char here : line) {
      if (here == '"') quoted = !quoted;
      if (here == c && !quoted) return c;
    }
  }
  return ' ';
}

}  // namespace

bool is_table(const fs::path& file) {
  const fs::path unpacked = file.extension() == ".gz" ? file.stem() : file;
  return unpacked.extension() == ".csv" || unpacked.extension() == ".tsv";
}

Table read_table(const fs::path& file) {
  const std::string text = read_bytes(file);
  Table out;
  std::vector<double> values;
  std::vector<std::string_view> fields;
  std::size_t columns = 0, number = 0;
  char separator = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trimmed(std::string_view(text).substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const bool first = separator == 0;
    if (first) separator = separator_of(line);
    split(line, separator, fields);
    if (first) columns = fields.size();
    const auto wrong = [&](const std::string& what) {
      return Error(fmt::format("{}, line {}: {}", file.string(), number, what));
    };
    if (fields.size() != columns)
      throw wrong(fmt::format("{} columns, and {} in the lines before", fields.size(), columns));
    double value = 0;
    if (first && std::none_of(fields.begin(), fields.end(),
                              [&](std::string_view f) { return parse(f, value); })) {
      out.names.assign(fields.begin(), fields.end());
      continue;
    }
    for (std::size_t i = 0; i < columns; ++i) {
      if (!parse(fields[i], value))
        throw wrong(fmt::format("`{}` in column {}{} is no number", fields[i].substr(0, 40), i + 1,
                                out.names.empty() ? "" : " (" + out.names[i] + ")"));
      values.push_back(value);
    }
  }
  const auto width = static_cast<std::int64_t>(columns);
  out.values =
      at::empty({width ? static_cast<std::int64_t>(values.size()) / width : 0, width}, at::kDouble);
  std::copy(values.begin(), values.end(), out.values.mutable_data_ptr<double>());
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
