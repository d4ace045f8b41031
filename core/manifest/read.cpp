#include "read.h"

#define TOML_EXCEPTIONS 1
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace scorelab::manifest {
namespace {

Position position(const toml::source_region& region, int source) {
  Position p{source, static_cast<int>(region.begin.line), static_cast<int>(region.begin.column), 1};
  if (region.end.line == region.begin.line && region.end.column > region.begin.column)
    p.length = static_cast<int>(region.end.column - region.begin.column);
  return p;
}

/// toml++ keeps tables sorted by key and marks values by where they begin: order and extent are found again here.
Node convert(const toml::node& from, int source) {
  Node out;
  out.at = position(from.source(), source);
  switch (from.type()) {
    case toml::node_type::boolean:
      out.kind = Node::Kind::boolean, out.boolean = from.as_boolean()->get();
      break;
    case toml::node_type::integer:
      out.kind = Node::Kind::integer, out.integer = from.as_integer()->get();
      break;
    case toml::node_type::floating_point:
      out.kind = Node::Kind::number, out.number = from.as_floating_point()->get();
      break;
    case toml::node_type::string:
      out.kind = Node::Kind::string, out.string = from.as_string()->get();
      break;
    case toml::node_type::array:
      out.kind = Node::Kind::array;
      for (const auto& item : *from.as_array()) out.items.push_back(convert(item, source));
      break;
    case toml::node_type::table:
      for (const auto& [key, value] : *from.as_table())
        out.members.push_back({std::string(key.str()), position(key.source(), source), convert(value, source)});
      std::sort(out.members.begin(), out.members.end(), [](const auto& a, const auto& b) {
        return std::pair(a.key_at.line, a.key_at.column) < std::pair(b.key_at.line, b.key_at.column);
      });
      break;
    default:
      out.kind = Node::Kind::other, out.string = "a date or time";
      break;
  }
  return out;
}

void move_to(Node& node, const Position& at) {
  node.at = at;
  for (auto& item : node.items) move_to(item, at);
  for (auto& m : node.members) m.key_at = at, move_to(m.value, at);
}

bool is_utf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (size == 0 || i + size > text.size()) return false;
    for (std::size_t k = 1; k < size; ++k)
      if (static_cast<unsigned char>(text[i + k]) >> 6 != 2) return false;
    i += size;
  }
  return true;
}

}  // namespace

std::optional<Node> read_file(const std::filesystem::path& file, Sources& sources, std::vector<Diagnostic>& problems) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    problems.push_back({{},
                        fmt::format("the manifest {} cannot be read", file.string()),
                        std::filesystem::exists(file) ? "it is no file, or not readable" : "there is no such file",
                        {}});
    return {};
  }
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const int source = sources.add(file.string(), text);
  try {
    return convert(toml::parse(text, file.string()), source);
  } catch (const toml::parse_error& e) {
    std::string what(e.description());
    problems.push_back({position(e.source(), source), "this is not TOML: " + what, "", {"TOML's rules: https://toml.io"}});
    return {};
  }
}

std::optional<Node> read_override(const std::string& argument, Sources& sources, std::vector<Diagnostic>& problems) {
  if (!is_utf8(argument)) {
    problems.push_back({{}, "an argument of -s is not UTF-8", "check the terminal's encoding", {}});
    return {};
  }
  const int source = sources.add("command line, -s " + argument, argument);
  const auto equals = argument.find('=');
  const Position key_at{source, 1, 1, static_cast<int>(std::min(equals, argument.size()))};
  if (equals == argument.npos || equals == 0) {
    problems.push_back({{source, 1, 1, static_cast<int>(argument.size())}, "-s takes key=value", "such as -s train.lr=1e-3", {}});
    return {};
  }
  const std::string key = argument.substr(0, equals), value = argument.substr(equals + 1);
  Node leaf;
  leaf.kind = Node::Kind::string;
  leaf.string = value;
  try {
    const toml::table parsed = toml::parse("x = " + value);
    if (parsed.size() == 1) leaf = convert(*parsed.get("x"), source);
  } catch (const toml::parse_error&) {  // a string, then
  }
  move_to(leaf, {source, 1, static_cast<int>(equals) + 2, std::max(1, static_cast<int>(value.size()))});
  std::vector<std::string> parts;
  std::stringstream path(key);
  for (std::string part; std::getline(path, part, '.');) parts.push_back(part);
  if (key.back() == '.') parts.emplace_back();
  for (const auto& part : parts) {
    if (!part.empty()) continue;
    problems.push_back({key_at, fmt::format("`{}` is no key", key), "keys are names joined by dots", {}});
    return {};
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    Node table;
    table.at = key_at;
    table.members.push_back({*part, key_at, std::move(leaf)});
    leaf = std::move(table);
  }
  return leaf;
}

}  // namespace scorelab::manifest
