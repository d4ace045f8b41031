#include "record/table.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <charconv>

namespace scorelab::record {
namespace {

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
  if (field.starts_with('+') && !field.starts_with("+-")) field.remove_prefix(1);
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

Table parse_table(std::string_view text, const std::string& file) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte-order mark
  Table out;
  std::vector<std::string_view> fields;
  std::size_t number = 0;
  char separator = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trimmed(text.substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const bool first = separator == 0;
    if (first) separator = separator_of(line);
    split(line, separator, fields);
    if (first) out.columns = fields.size();
    const auto wrong = [&](const std::string& what) {
      return Error(fmt::format("{}, line {}: {}", file, number, what));
    };
    if (fields.size() != out.columns)
      throw wrong(
          fmt::format("{} columns, and {} in the lines before", fields.size(), out.columns));
    double value = 0;
    const auto is_number = [&](std::string_view field) { return parse(field, value); };
    if (first && std::none_of(fields.begin(), fields.end(), is_number)) {
      out.names.assign(fields.begin(), fields.end());
      continue;
    }
    for (std::size_t i = 0; i < out.columns; ++i) {
      if (!is_number(fields[i]))
        throw wrong(fmt::format("`{}` in column {}{} is no number", fields[i].substr(0, 40), i + 1,
                                out.names.empty() ? "" : " (" + out.names[i] + ")"));
      out.values.push_back(value);
    }
  }
  return out;
}

}  // namespace scorelab::record
