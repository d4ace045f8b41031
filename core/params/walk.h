#pragma once
#include <functional>
#include <string>

#include "params/schema.h"

/// Ways through a resolved configuration: tables of values, and components, {"plugin", "kind",
/// "version", "file", "sha256", "params", ..}, whose parameters may hold components again.
namespace scorelab::schema {

bool is_component(const Json& value);

/// Every component in a value, an outer one before those in its slots.
void for_each_component(Json& value, const std::function<void(Json& component)>& visit);
void for_each_component(const Json& value, const std::function<void(const Json& component)>& visit);

/// Every value by its dotted name: {"train": {"lr": 1}} is train.lr = 1. A component is NAME.plugin
/// and its parameters; components in a list go by their labels, and the list itself is the list of
/// these.
using Leaf = std::function<void(const std::string& name, const Json& value)>;
void for_each_value(const Json& value, const std::string& name, const Leaf& leaf);
/// The same as one flat object; a component's name is the value of its slot: {"network": "mlp",
/// "network.width": 64}.
Json flat(const Json& value);

}  // namespace scorelab::schema
