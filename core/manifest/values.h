#pragma once
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "manifest/tree.h"
#include "params/schema.h"

namespace scorelab::manifest {

using schema::Json;

/// What was found in all cells of a manifest. A key that has no place or no effect in one cell may
/// have one in another; it is a mistake if it has none in any.
class Findings {
 public:
  explicit Findings(const Sources& sources) : sources(sources) {}
  /// Once for each place and message, however many cells have it.
  void problem(Diagnostic d);
  /// `name`: the key's own; the parts of a dotted -s share one place.
  void unused(const Position& key, const std::string& name, Diagnostic d);
  void used(const Position& key, const std::string& name) { used_.emplace(place(key), name); }
  /// Something that works and may still mislead; once for each place and message.
  void warning(Diagnostic d);
  const std::vector<Diagnostic>& warnings() const { return warnings_; }
  /// The problems, with the keys that no cell uses.
  std::vector<Diagnostic> all() const;
  std::size_t count() const { return problems_.size() + unused_.size(); }

  const Sources& sources;
  std::set<std::string> misspelt;  ///< top-level keys that an unknown one was probably meant to be

 private:
  using Place = std::tuple<int, int, int, int>;
  static Place place(const Position& p) { return {p.source, p.line, p.column, p.length}; }
  std::vector<Diagnostic> problems_, warnings_;
  std::set<std::pair<Place, std::string>> seen_;
  std::map<std::pair<Place, std::string>, Diagnostic> unused_;
  std::set<std::pair<Place, std::string>> used_;
};

/// Reads one table against a schema. Problems go to the list; a value that is wrong is left at its
/// default.
class TableReader {
 public:
  /// `owner`: how messages name the table, such as "sampler `ancestral`".
  explicit TableReader(Findings& findings) : findings_(findings) {}

  /// Reads a component that a slot names; null: the empty slot. Of kind `model`: its name, or
  /// "none".
  using ReadSlot =
      std::function<Json(const Node& node, const std::string& kind, const std::string& key)>;

  struct Result {
    Json values = Json::object();  ///< every parameter
    Json key = Json::object();     ///< active, not reporting, other than the default
  };
  /// `component`: the table may name its `plugin`.
  Result read(const Node* table, const schema::Schema& schema, const std::string& owner,
              const std::string& help, const ReadSlot& slot, bool component);

  /// Keys that this experiment has no use for: carried along, or used by other cells.
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  void problem(const Position& at, std::string message, std::string hint,
               std::vector<std::string> notes = {});
  bool value(const Node& node, const schema::Param& param, const std::string& owner, Json& out);
  /// A string that is one of some words or names a file, where the parameter asks for one.
  bool string(const Node& node, const schema::Param& param, Json& out);
  bool in_range(const Node& node, const schema::Param& param, double number);
  void unknown(const Node::Member& m, const schema::Schema& schema, const std::string& owner,
               const std::string& help);
  /// A parameter's value, and what of it belongs to the key; null where it is the default.
  struct Value {
    Json value, key;
  };
  /// `initial`: its value where the table gives none: the default's, or a preset's.
  Value parameter(const Node* table, const schema::Param& param, const Json& initial,
                  const std::string& owner, const ReadSlot& slot);
  /// Whether a preset that was carried along is none of this plugin's; it is left out then.
  bool left_out_preset(const Node& table, const schema::Param& preset, const std::string& owner);
  void without_effect(const Node::Member& m, const schema::Param& param, const Json& given,
                      const std::string& owner);
  void leave_out(const Node::Member& m, const std::string& why, Diagnostic d);

  Findings& findings_;
  std::vector<std::string> left_out_;
};

}  // namespace scorelab::manifest
