#pragma once
#include <string>
#include <vector>

#include "manifest/check.h"

namespace scorelab::manifest {

/// A component of an experiment, read: what it is there, and what it declares.
struct Part {
  Json component;
  Position at;
  schema::Schema schema;
  std::string role;
  bool inner = false;  ///< the parameter of another component: what it gives is that one's affair
  /// Whether it has a capability, with its parameters.
  bool has(const std::string& capability) const;
  /// Whether it may have a capability, under some parameters.
  bool declares(const std::string& capability) const;
  /// Whether it may need one.
  bool asks(const std::string& capability) const;
};

/// Whether the parts of one experiment (or of a model in `[models]`) go together; what has no
/// effect in it is noted and set to nothing.
void match_parts(const Node& root, const std::vector<Part>& parts, bool is_model,
                 Experiment& experiment, Findings& findings);

}  // namespace scorelab::manifest
