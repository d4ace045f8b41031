#pragma once
#include <string>
#include "params/schema.h"

namespace scorelab::host {

/// Marks that a plugin's code runs on this thread, for as long as it lives, so that a crash can
/// name it.
class Entering {
 public:
  Entering(const std::string& kind, const std::string& name);
  ~Entering();
  Entering(const Entering&) = delete;
  Entering& operator=(const Entering&) = delete;

 private:
  char before_[96];
};

/// Where the front end reads: our first stdout. Plugins may print to the one that they see.
extern int answers;
/// One JSON line to the front end.
void say(const nlohmann::json& line);

/// On a fatal signal: one line of answers, {"event":"crash","signal":..,"plugin":..}, then the
/// signal's own end of the process.
void report_crashes();

}  // namespace scorelab::host
