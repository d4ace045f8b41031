#pragma once
#include <ATen/core/Tensor.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "params/schema.h"
#include "record/hdf5.h"
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

/// What a stage needs is not there: another run asked the stage before for less. The front end sees to it and tries again.
class NotReady : public std::exception {
 public:
  const char* what() const noexcept override { return "an earlier stage lacks what this one needs"; }
};

/// Each returns what stage.json says beside the rest.
Json run_train(StageRun& run);
Json run_sample(StageRun& run);
Json run_evaluate(StageRun& run);

/// Between tensors and stored arrays; on the way back, to the CPU.
record::Array to_array(const at::Tensor& tensor);
/// The same in the memory of an array that is already there.
void copy_into(record::Array& array, const at::Tensor& tensor);
at::Tensor to_tensor(const record::Array& array);

}  // namespace scorelab::host
