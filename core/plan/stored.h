#pragma once
#include "plan/plan.h"

/// What results hold of a plan's stages.
namespace scorelab::plan {

/// A record of a stage; null where there is none that is whole.
Json record_of(const fs::path& results, const std::string& key, const char* name);

/// The key leaves defaults out, so a stored stage must have been made with the same ones: throws
/// Error where they are others. Notes in stage.reason a plugin that was rebuilt.
void compare_defaults(const fs::path& results, Stage& stage);

/// Seconds from stored stages of the same kind: for each unit of work where the plugins are the
/// same, else for each of that kind.
void estimate(Plan& plan, const fs::path& results);

}  // namespace scorelab::plan
