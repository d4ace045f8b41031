#pragma once
#include <string>

#include "cli/results.h"

namespace scorelab::cli {

/// The name of what is exported of a run, without an extension: its experiment and its folder.
std::string file_name(const Launched& launched, const Launched::Replicate& replicate);

/// Write the samples of every run that is done into `folder`, and print what they wrote; samples
/// that several runs share are written once, under the first one's name. Runs that are not done are
/// told on stderr. Return the exit code. Throw Error; NothingThere where there are no samples.
int export_images(const Launched& launched, const fs::path& folder);
int export_npz(const Launched& launched, const fs::path& folder);

}  // namespace scorelab::cli
