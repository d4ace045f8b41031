#include "read.h"

#include <stdexcept>

#define TOML_EXCEPTIONS 1
// An assertion of the library that does not hold is a text that it cannot read, not the end of the program.
#define TOML_ASSERT(expression) ((expression) ? static_cast<void>(0) : throw std::logic_error("the parser stumbled here"))
#include <fmt/format.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wterminate"
#include <toml++/toml.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <cctype>
#include <functional>
#include <sstream>

#include "manifest/text.h"
#include "record/files.h"

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
        out.members.push_back({std::string(key.str()), position(key.source(), source), convert(value, source), false, false});
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

}  // namespace

namespace {

constexpr std::size_t longest_manifest = 16 << 20, most_parts = 64, most_files = 200;

/// Where a key of too many parts stands, as line and column: the parser would nest a table for each. Comments, and texts in quotes, end at
/// a line's end.
std::optional<std::pair<int, int>> deep_key(const std::string& text) {
  std::size_t dots = 0;
  int line = 1, column = 0;
  bool comment = false;  // also behind a # in quotes, where no key begins
  for (const char c : text) {
    ++column;
    if (c == '\n') ++line, column = 0;
    comment = c == '#' || (comment && c != '\n');
    if (comment) continue;
    const bool of_key = std::isalnum(static_cast<unsigned char>(c)) || std::string("_-.\"' \t").find(c) != std::string::npos;
    dots = of_key ? dots + (c == '.') : 0;
    if (dots >= most_parts) return std::pair(line, column);
  }
  return {};
}

}  // namespace

std::optional<Node> read_file(const std::filesystem::path& file, Sources& sources, std::vector<Diagnostic>& problems) {
  const std::string shown = as_utf8(file.string());
  std::string text;
  std::error_code none;
  try {
    if (!std::filesystem::exists(file, none)) throw Error("there is no such file");
    if (std::filesystem::is_directory(file, none)) throw Error("it is a folder");
    text = record::read_whole(file, longest_manifest);
  } catch (const Error& e) {
    problems.push_back({{}, fmt::format("the manifest {} cannot be read", shown), as_utf8(e.what()), {}});
    return {};
  }
  const int source = sources.add(shown, text, file.parent_path());
  if (const auto deep = deep_key(text)) {
    problems.push_back({{source, deep->first, deep->second, 1}, fmt::format("a key has more than {} parts", most_parts), "", {}});
    return {};
  }
  try {
    return convert(toml::parse(text, shown), source);
  } catch (const toml::parse_error& e) {
    std::string what(e.description());
    problems.push_back({position(e.source(), source), "this is not TOML: " + what, "", {"TOML's rules: https://toml.io"}});
  } catch (const std::logic_error& e) {
    problems.push_back(
        {{source, 1, 1, 1}, fmt::format("this is not TOML: {}", e.what()), "look for a bracket or brace that is not closed", {}});
  }
  return {};
}

namespace {

/// A value on the command line; what does not parse as TOML is a string.
Node value_of(const std::string& text, int source) {
  Node out;
  out.kind = Node::Kind::string;
  out.string = text;
  try {
    const toml::table parsed = toml::parse("x = " + text);
    if (parsed.size() == 1) out = convert(*parsed.get("x"), source);
  } catch (const std::exception&) {  // a string, then
  }
  return out;
}

/// The parts of `v1,v2` at its top level: commas in brackets and quotes do not count.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out(1);
  int depth = 0;
  char quote = 0;
  for (const char c : text) {
    if (quote) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else {
      depth += (c == '[' || c == '{') - (c == ']' || c == '}');
      if (c == ',' && depth == 0) {
        out.emplace_back();
        continue;
      }
    }
    out.back() += c;
  }
  return out;
}

struct Argument {
  std::string key, value;
  Position key_at, value_at;
  bool whole = false;  // key:=value
};

std::optional<Argument> read_argument(const std::string& flag, const std::string& argument, Sources& sources,
                                      std::vector<Diagnostic>& problems) {
  if (!is_utf8(argument)) {
    problems.push_back({{}, fmt::format("an argument of {} is not UTF-8", flag), "check the terminal's encoding", {}});
    return {};
  }
  const int source = sources.add(fmt::format("command line, {} {}", flag, argument), argument);
  if (argument.size() > longest_manifest || deep_key(argument)) {
    problems.push_back({{}, fmt::format("an argument of {} is too long, or its key has more than {} parts", flag, most_parts), "", {}});
    return {};
  }
  const auto equals = argument.find('=');
  const Position key_at{source, 1, 1, static_cast<int>(std::min(equals, argument.size()))};
  if (equals == argument.npos || equals == 0) {
    problems.push_back({{source, 1, 1, static_cast<int>(argument.size())},
                        flag + (flag == "-x" ? " takes key=value,value" : " takes key=value"),
                        flag == "-x" ? "such as -x sampler.steps=10,20,50" : "such as -s train.lr=1e-3",
                        {}});
    return {};
  }
  Argument out{argument.substr(0, equals), argument.substr(equals + 1), key_at, {}};
  if (flag == "-s" && out.key.back() == ':') out.key.pop_back(), out.whole = true;
  while (!out.key.empty() && out.key.back() == ' ') out.key.pop_back();
  out.value_at = {source, 1, static_cast<int>(equals) + 2, std::max(1, static_cast<int>(out.value.size()))};
  if (out.key.empty() || out.key.back() == '.' || ("." + out.key).find("..") != std::string::npos) {
    problems.push_back({key_at, fmt::format("`{}` is no key", out.key), "keys are names joined by dots", {}});
    return {};
  }
  return out;
}

}  // namespace

std::optional<Node> read_override(const std::string& argument, Sources& sources, std::vector<Diagnostic>& problems) {
  const auto a = read_argument("-s", argument, sources, problems);
  if (!a) return {};
  Node leaf = value_of(a->value, a->key_at.source);
  move_to(leaf, a->value_at);
  std::vector<std::string> parts;
  std::stringstream path(a->key);
  for (std::string part; std::getline(path, part, '.');) parts.push_back(part);
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    Node table;
    table.at = a->key_at;
    table.members.push_back({*part, a->key_at, std::move(leaf), false, false, a->whole && part == parts.rbegin()});
    leaf = std::move(table);
  }
  return leaf;
}

std::optional<Node> read_axis(const std::string& argument, const std::vector<std::string>& taken, Sources& sources,
                              std::vector<Diagnostic>& problems) {
  const auto a = read_argument("-x", argument, sources, problems);
  if (!a) return {};
  std::string name = a->key.substr(a->key.rfind('.') == std::string::npos ? 0 : a->key.rfind('.') + 1);
  const auto is_taken = [&] { return std::find(taken.begin(), taken.end(), name) != taken.end(); };
  if (is_taken()) name = a->key;  // two keys of one last name
  if (is_taken()) {
    problems.push_back(
        {a->key_at, fmt::format("there is an axis `{}` already", name), fmt::format("such as -s sweep.{}.values=[..]", name), {}});
    return {};
  }
  Node values;
  values.kind = Node::Kind::array;
  for (const auto& part : split(a->value)) values.items.push_back(value_of(part, a->key_at.source));
  move_to(values, a->value_at);
  Node key;
  key.kind = Node::Kind::string;
  key.string = a->key, key.at = a->key_at;
  Node out;
  out.at = a->key_at;
  const auto table_of = [&](std::string name, Node value) {
    Node table;
    table.at = a->key_at;
    table.members.push_back({std::move(name), a->key_at, std::move(value), false, false});
    return table;
  };
  Node axis = table_of("key", std::move(key));
  axis.members.push_back({"values", a->key_at, std::move(values), false, false});
  return table_of("sweep", table_of(std::move(name), std::move(axis)));
}

std::optional<Node> read_manifest(const std::filesystem::path& file, Sources& sources, std::vector<Diagnostic>& problems) {
  std::vector<std::filesystem::path> open;
  std::size_t files = 0;
  const std::function<std::optional<Node>(const std::filesystem::path&)> read =
      [&](const std::filesystem::path& path) -> std::optional<Node> {
    auto own = read_file(path, sources, problems);
    if (!own) return {};
    if (++files > most_files) {
      problems.push_back({own->at, fmt::format("`extends` reads more than {} files", most_files), "name each manifest once", {}});
      return {};
    }
    const Node* extends = own->find("extends");
    if (!extends) return own;
    std::error_code none;
    open.push_back(std::filesystem::weakly_canonical(path, none));
    Node all;
    all.at = own->at;
    const auto add = [&](const Node& name) {
      if (name.kind != Node::Kind::string)
        return problems.push_back(
            {name.at, fmt::format("`extends` holds {}", name.kind_name()), "expected a manifest's file, or a list of them", {}});
      const auto next = (path.parent_path() / name.string).lexically_normal();
      if (std::find(open.begin(), open.end(), std::filesystem::weakly_canonical(next, none)) != open.end())
        return problems.push_back({name.at, "this manifest extends itself", next.string(), {}});
      if (!problems.empty()) return;
      if (!std::filesystem::is_regular_file(next, none))
        return problems.push_back({name.at, "the manifest that is extended is not there", next.string(), {}});
      if (const auto base = read(next)) merge(all, *base, Merge::extend);
    };
    if (extends->kind == Node::Kind::array)
      for (const auto& name : extends->items) add(name);
    else
      add(*extends);
    open.pop_back();
    std::erase_if(own->members, [](const Node::Member& m) { return m.key == "extends"; });
    merge(all, *own, Merge::extend);
    return all;
  };
  const auto out = read(file);
  return problems.empty() ? out : std::nullopt;
}

}  // namespace scorelab::manifest
