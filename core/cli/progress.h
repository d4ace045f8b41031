#pragma once
#include <chrono>
#include <map>
#include <string>

#include "params/schema.h"

namespace scorelab::cli {

/// One line of progress on stderr: a bar that is drawn over on a terminal, a line now and then elsewhere.
class Progress {
 public:
  void start(const std::string& stage, const std::string& label);
  void update(const schema::Json& event);
  void finish(const std::string& stage, const std::string& text);
  /// Prints a line of its own above the bar.
  void line(const std::string& text);

 private:
  void draw(const std::string& text);
  void clear();
  using clock = std::chrono::steady_clock;
  std::map<std::string, std::string> labels_;
  std::map<std::string, std::pair<clock::time_point, std::int64_t>> begun_;
  clock::time_point last_{};
  bool drawn_ = false;
};

}  // namespace scorelab::cli
