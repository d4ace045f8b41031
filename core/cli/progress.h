#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "params/schema.h"

namespace scorelab::cli {

/// Progress on stderr. On a terminal, a bar for each host at work and, over several stages, one for
/// the whole, drawn over; elsewhere a line now and then.
class Progress {
 public:
  /// `stages` to do in all; no overall line for fewer than 4.
  explicit Progress(std::size_t stages) : stages_(stages) {}
  void start(std::size_t host, const std::string& stage, const std::string& label);
  void update(std::size_t host, const schema::Json& event);
  void finish(std::size_t host, const std::string& label, const std::string& text);
  void idle(std::size_t host);
  /// Prints a line of its own above the bars.
  void line(const std::string& text);

 private:
  using clock = std::chrono::steady_clock;
  struct Work {
    std::string label, bar;
    clock::time_point begun{}, told{};
    std::int64_t first = -1;
  };
  void draw();
  void clear();
  std::string overall() const;

  std::size_t stages_, finished_ = 0, drawn_ = 0;
  std::map<std::size_t, Work> hosts_;
  clock::time_point begun_ = clock::now(), last_{};
};

}  // namespace scorelab::cli
