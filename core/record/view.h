#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "record/files.h"

namespace scorelab::record {

/// What a run's files are assembled from. The stages are the truth; the view can be deleted and
/// made again.
struct View {
  struct Source {
    std::string kind, key, what, label;
    Json spec;
    bool done = false;
  };
  fs::path results, folder;                 ///< results, and where run.h5 and run.jsonl go
  std::string experiment, manifest, state;  ///< state: running, done, failed or stopped
  std::int64_t seed = 0, train_seed = 0;
  Json resolved;    ///< the whole experiment
  Json provenance;  ///< git, host, versions, plugins, command line
  std::vector<Source> sources;
};

/// Whether run.h5 is newer than all that it is assembled from, and says this state.
bool is_current(const View& view);

/// Writes run.h5 and run.jsonl, and grid.png where the samples are images; every file whole.
void write_view(const View& view);

}  // namespace scorelab::record
