#pragma once
#include <string>

namespace scorelab::host {

/// Marks that a plugin's code runs on this thread, for as long as it lives, so that a crash can name it.
class Entering {
 public:
  Entering(const std::string& kind, const std::string& name);
  ~Entering();
  Entering(const Entering&) = delete;
  Entering& operator=(const Entering&) = delete;

 private:
  char before_[96];
};

/// On a fatal signal: one line on stdout, {"event":"crash","signal":..,"plugin":..}, then the signal's own end of the process.
void report_crashes();

}  // namespace scorelab::host
