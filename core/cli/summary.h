#pragma once
#include <string>

#include "cli/results.h"

namespace scorelab::cli {

/// What a stage did, in a few words, from its stage.json.
std::string stage_text(const Json& done);
/// What came out, where it is and what to try next.
std::string summary(const Launched& launched, double seconds);
Json summary_json(const Launched& launched);

}  // namespace scorelab::cli
