#pragma once
#include <memory>
#include <string>

#include "params/schema.h"

namespace scorelab::cli {

/// A condition on runs, such as `mmd < 0.01 and (variant = "pc" or state != done)`: names with <,
/// <=, >, >=, =, != and values, joined by `and`, `or`, `not` and brackets. What a run does not have
/// fulfils no comparison.
class Where {
 public:
  /// Throws Error with the place and what is expected there.
  explicit Where(const std::string& text);
  ~Where();
  /// `run`: names -> numbers or strings.
  bool holds(const schema::Json& run) const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
};

}  // namespace scorelab::cli
