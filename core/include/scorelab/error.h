#pragma once
#include <stdexcept>
#include <string>

namespace scorelab {

/// What a component throws when it cannot go on: one sentence that says what was got, what was
/// expected and what to do. The host adds the component's kind and name, its file and the line of
/// the manifest.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message);
  ~Error() override;
};

/// Thrown by every model call and by Run::observe once the run was asked to stop. Not an error: let
/// it pass.
class Stopped : public std::exception {
 public:
  ~Stopped() override;
  const char* what() const noexcept override;
};

}  // namespace scorelab
