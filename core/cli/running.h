#pragma once
#include <string>

#include "cli/planning.h"
#include "cli/runner.h"

namespace scorelab::cli {

struct RunArguments {
  ManifestArguments manifest;
  Selection selection;
  std::string results = "results", rerun, command;
  RunOptionsOfVerb options;
  bool json = false;
};

/// Plans what was loaded, runs what is to do, and says what came out. The exit code.
int run_loaded(const Loaded& loaded, const RunArguments& arguments);

}  // namespace scorelab::cli
