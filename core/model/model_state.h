#pragma once
#include <scorelab/guide.h>
#include <scorelab/network.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "output.h"

namespace scorelab {

/// NFE of each row of one sampling call (or of training: of the whole batch, in row 0's place).
struct Counts {
  std::vector<std::int64_t> evaluations, vjps, jvps;
  void reset(std::int64_t rows);
};

/// What the host keeps of a guide in one sampling call.
struct GuideRun::Call {
  std::optional<Noise> noise;
  CallMemory memory;
  std::function<const at::Tensor&()> clean;
  bool observed = false;  ///< whether it asked for them
};

/// A guide of a stage.
struct Guiding {
  std::shared_ptr<Guide> guide;
  GuideRun::Call call = {};
};

/// What stands behind the Model handles of one stage. Made and owned by the host.
struct Model::State {
  std::shared_ptr<Network> network;
  std::shared_ptr<Scheduler> scheduler;
  Output output;
  std::vector<Guiding> guides;  ///< in order; each stands before the one before it
  Condition condition;          ///< of each row of a sampling call, or of a training batch
  std::int64_t chunk = 0;       ///< rows of one network evaluation when sampling; 0: the batch as it is
  std::int64_t max_nfe = 0;     ///< of a row; 0: no bound
  bool over_budget = false;     ///< a row asked for more
  Noise* noise = nullptr;       ///< for dropout in training
  const std::atomic<bool>* stop = nullptr;
  Counts counts;
  /// Tells the host whose code runs, the network's or a guide's, so that a crash names the plugin; set by the host.
  std::function<void(const Component&, const std::function<void()>&)> call;
  /// Sees every evaluation, in the network's name: the search for the first value that is not finite.
  std::function<void(const at::Tensor& x, const Times& t, const at::Tensor& out)> look;
};

}  // namespace scorelab
