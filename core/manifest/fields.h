#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "manifest/values.h"

namespace scorelab::manifest {

inline bool is_number(const Node& n) {
  return n.kind == Node::Kind::integer || n.kind == Node::Kind::number;
}
inline double number_of(const Node& n) {
  return n.kind == Node::Kind::integer ? static_cast<double>(n.integer) : n.number;
}

/// Reads the fields of a manifest's tables. Whatever is wrong is reported.
class Fields {
 protected:
  explicit Fields(Findings& findings) : findings_(findings) {}

  void problem(const Position& at, std::string message, std::string hint,
               std::vector<std::string> notes = {}) {
    findings_.problem({at, std::move(message), std::move(hint), std::move(notes), false});
  }
  /// Keys of a table against those it may have.
  void only_keys(const Node& table, const std::string& owner,
                 const std::vector<std::string>& known);
  /// A partial manifest may hold what an experiment has, and nothing of the comparison.
  void partial(const Node& change, const std::string& owner);
  /// Whether the key is there, and a string.
  bool text(const Node& table, const std::string& key, std::string& out);
  static bool strings(const Node& node);
  /// A string or an array of strings; each must be one of `known` where that is given.
  void names(const Node& table, const std::string& key, std::vector<std::string>& out,
             const std::string& what = "", const std::vector<std::string>& known = {});
  /// A number of seeds, or different seeds.
  bool seed_list(const Node& node, std::vector<std::int64_t>& out);

  Findings& findings_;
};

}  // namespace scorelab::manifest
