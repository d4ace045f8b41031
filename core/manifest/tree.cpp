#include "tree.h"

#include <algorithm>

namespace scorelab::manifest {

const Node* Node::find(const std::string& key) const {
  const auto it =
      std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
  return it == members.end() ? nullptr : &it->value;
}

Node::Member* Node::member(const std::string& key) {
  const auto it =
      std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
  return it == members.end() ? nullptr : &*it;
}

const char* Node::kind_name() const {
  switch (kind) {
    case Kind::boolean:
      return "a boolean";
    case Kind::integer:
      return "an integer";
    case Kind::number:
      return "a number";
    case Kind::string:
      return "a string";
    case Kind::array:
      return "an array";
    case Kind::table:
      return "a table";
    case Kind::other:
      return string.c_str();
  }
  return "nothing";
}

void merge(Node& base, const Node& over, Merge how) {
  for (const auto& m : over.members) {
    Node::Member* own = base.member(m.key);
    if (!own) {
      base.members.push_back(m);
      continue;
    }
    if (how == Merge::extend && own->value.kind == Node::Kind::table &&
        m.value.kind == Node::Kind::boolean && !m.value.boolean) {
      std::erase_if(base.members, [&](const Node::Member& x) { return x.key == m.key; });
      continue;
    }
    own->key_at = m.key_at;
    own->must_fit = m.must_fit;
    if (m.whole) {
      own->value = m.value;
      continue;
    }
    // A bare name in front of a table of its parameters: the name is the plugin, the parameters
    // stay.
    if (own->value.kind == Node::Kind::string && m.value.kind == Node::Kind::table &&
        !m.value.find("plugin")) {
      Node table;
      table.at = m.value.at;
      table.members.push_back({"plugin", own->key_at, own->value, false, false});
      own->value = std::move(table);
    }
    if (Node::Member* plugin =
            own->value.kind == Node::Kind::table && m.value.kind == Node::Kind::string
                ? own->value.member("plugin")
                : nullptr) {
      // And a bare name over a component's table sets its plugin.
      if (how == Merge::carry)
        for (auto& beside : own->value.members) beside.carried = true;
      *plugin = {"plugin", m.key_at, m.value, false, false};
    } else if (own->value.kind == Node::Kind::table && m.value.kind == Node::Kind::table)
      merge(own->value, m.value, how);
    else
      own->value = m.value;
  }
}

}  // namespace scorelab::manifest
