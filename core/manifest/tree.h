#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "manifest/diagnostic.h"

namespace scorelab::manifest {

/// One value of a manifest with its place; tables keep the order of the source.
struct Node {
  enum class Kind { boolean, integer, number, string, array, table, other };
  struct Member;

  Kind kind = Kind::table;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;
  std::string string;    ///< of a string; of `other`, the TOML type's name
  bool implied = false;  ///< a default, which no text says
  std::vector<Node> items;
  std::vector<Member> members;
  Position at;

  const Node* find(const std::string& key) const;
  Member* member(const std::string& key);
  const char* kind_name() const;
};

struct Node::Member {
  std::string key;
  Position key_at;
  Node value;
  /// beside a `plugin` that an override changed: left out where the new plugin does not declare it
  bool carried = false;
  bool must_fit = false;  ///< set by an axis: wrong where it is not declared or has no effect
  bool whole = false;     ///< replaces what is there, a table too
};

/// keep: nothing more; carry: what stands beside a changed `plugin` is carried along; extend: `NAME
/// = false` removes a table.
enum class Merge { keep, carry, extend };

/// Merges `over` into `base`: tables deeply, everything else replaces; the overriding side's places
/// win.
void merge(Node& base, const Node& over, Merge how);

}  // namespace scorelab::manifest
