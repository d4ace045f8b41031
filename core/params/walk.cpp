#include "params/walk.h"

namespace scorelab::schema {

bool is_component(const Json& value) {
  return value.is_object() && value.contains("plugin") && value.contains("params");
}

void for_each_component(Json& value, const std::function<void(Json&)>& visit) {
  if (is_component(value)) visit(value);
  if (value.is_structured())
    for (auto& inner : value) for_each_component(inner, visit);
}

void for_each_component(const Json& value, const std::function<void(const Json&)>& visit) {
  if (is_component(value)) visit(value);
  if (value.is_structured())
    for (const auto& inner : value) for_each_component(inner, visit);
}

void for_each_value(const Json& value, const std::string& name, const Leaf& leaf) {
  if (is_component(value)) {
    leaf(name + ".plugin", value["plugin"]);
    for (const auto& [own, inner] : value["params"].items())
      for_each_value(inner, name + "." + own, leaf);
  } else if (value.is_object()) {
    for (const auto& [own, inner] : value.items())
      for_each_value(inner, name.empty() ? own : name + "." + own, leaf);
  } else if (value.is_array() && !value.empty() && value[0].is_object()) {
    Json labels = Json::array();
    for (const auto& inner : value) {
      labels.push_back(inner.value("label", ""));
      for_each_value(inner, name + "." + labels.back().get<std::string>(), leaf);
    }
    leaf(name, labels);
  } else {
    leaf(name, value);
  }
}

Json flat(const Json& value) {
  Json out = Json::object();
  for_each_value(value, "", [&](const std::string& name, const Json& leaf) {
    const std::string suffix = ".plugin";
    out[name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : name] = leaf;
  });
  return out;
}

}  // namespace scorelab::schema
