#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "params/schema.h"
#include "record/journal.h"

namespace scorelab::host {

using schema::Json;

/// A stage while it runs: its folder, its spec, its journal.
struct StageRun {
  std::filesystem::path results, folder;
  Json spec;
  record::Journal& journal;
  const std::atomic<bool>& stop;
  /// What `auto` became, once a stage: {"device", "threads"}; kept in resolved.json.
  Json resolved;
  /// One line of progress for the front end: done of total, and what else is worth showing.
  std::function<void(std::int64_t done, std::int64_t total, Json more)> progress;
};

/// Each returns what stage.json says beside the rest.
Json run_train(StageRun& run);
Json run_sample(StageRun& run);
Json run_evaluate(StageRun& run);

}  // namespace scorelab::host
