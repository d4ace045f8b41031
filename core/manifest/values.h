#pragma once
#include <filesystem>
#include <functional>

#include "manifest/check.h"

namespace scorelab::manifest {

/// Reads one table against a schema. Problems go to the list; a value that is wrong is left at its default.
class TableReader {
 public:
  /// `owner`: how messages name the table, such as "sampler `ancestral`".
  TableReader(std::vector<Diagnostic>& problems, std::filesystem::path folder) : problems_(problems), folder_(std::move(folder)) {}

  /// Reads a component that a slot names; null: the empty slot.
  using ReadSlot = std::function<Json(const Node& node, const std::string& kind, const std::string& key)>;

  struct Result {
    Json values = Json::object();  ///< every parameter
    Json key = Json::object();     ///< active, not reporting, other than the default
  };
  /// `component`: the table may name its `plugin`.
  Result read(const Node* table, const schema::Schema& schema, const std::string& owner, const std::string& help, const ReadSlot& slot,
              bool component);

  /// Keys beside a plugin that an override changed, which the new one does not declare.
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  void problem(const Position& at, std::string message, std::string hint, std::vector<std::string> notes = {});
  bool value(const Node& node, const schema::Param& param, const std::string& owner, Json& out);
  bool in_range(const Node& node, const schema::Param& param, double number);

  std::vector<Diagnostic>& problems_;
  std::filesystem::path folder_;
  std::vector<std::string> left_out_;
};

}  // namespace scorelab::manifest
