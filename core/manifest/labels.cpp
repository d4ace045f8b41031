#include <algorithm>
#include <charconv>
#include <cmath>

#include "manifest/comparison.h"
#include "manifest/text.h"

namespace scorelab::manifest {

using Kind = Node::Kind;

std::string shortest(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return std::to_string(static_cast<std::int64_t>(value));
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

bool is_printable(const std::string& text) {
  return is_utf8(text) && std::none_of(text.begin(), text.end(),
                                       [](char c) { return (c >= 0 && c < 32) || c == 127; });
}

std::string label_of(const Node& value) {
  if (value.kind == Kind::integer) return std::to_string(value.integer);
  if (value.kind == Kind::number) return shortest(value.number);
  if (value.kind == Kind::boolean) return value.boolean ? "true" : "false";
  if (value.kind == Kind::string) return canonical_label(value.string);
  if (value.kind == Kind::table)
    if (const Node* plugin = value.find("plugin"); plugin && plugin->kind == Kind::string)
      return plugin->string;
  return canonical_label(to_json(value).dump());
}

std::string canonical_label(const std::string& text) {
  double value = 0;
  std::int64_t whole = 0;
  const char* end = text.data() + text.size();
  if (const auto [stop, error] = std::from_chars(text.data(), end, whole);
      error == std::errc() && stop == end)
    return std::to_string(whole);
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end && !text.empty() ? shortest(value) : text;
}

Json to_json(const Node& n) {
  switch (n.kind) {
    case Kind::boolean:
      return n.boolean;
    case Kind::integer:
      return n.integer;
    case Kind::number:
      // nan: the paper has no value there
      return std::isfinite(n.number) ? Json(n.number) : Json();
    case Kind::string:
    case Kind::other:
      return n.string;
    case Kind::array: {
      Json out = Json::array();
      for (const auto& item : n.items) out.push_back(to_json(item));
      return out;
    }
    case Kind::table: {
      Json out = Json::object();
      for (const auto& m : n.members) out[m.key] = to_json(m.value);
      return out;
    }
  }
  return {};
}

}  // namespace scorelab::manifest
