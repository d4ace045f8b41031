#pragma once
#include <scorelab/guide.h>
#include <scorelab/network.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "output.h"

namespace scorelab {

/// NFE of each row of one sampling call (or of training: of the whole batch, in row 0's place).
struct Counts {
  std::vector<std::int64_t> evaluations, vjps, jvps;
  void reset(std::int64_t rows) {
    for (auto* list : {&evaluations, &vjps, &jvps}) list->assign(rows, 0);
  }
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
  std::shared_ptr<GuideRun::Call> call = std::make_shared<GuideRun::Call>();
};

/// Runs a plugin's code in its name, so that a crash or an exception tells whose it is.
using CallPlugin = std::function<void(const Component&, const std::function<void()>&)>;

/// What a model is made of. Nothing of it changes once the parts are prepared, but for the values
/// of the network's parameters; models of several calls share it.
struct Model::Parts {
  std::shared_ptr<Network> network;
  std::shared_ptr<Scheduler> scheduler;
  Output output;
  std::shared_ptr<const Space> space;
};

/// What belongs to one use of a model: a sampling call, a training batch, a measurement. Made for
/// it and never used again; the handles of one use share it. A copy of one that was not used yet is
/// a new one with the same settings.
struct Model::Context {
  // How networks are evaluated.

  /// rows of one network evaluation; 0: the batch as it is
  std::int64_t chunk = 0;
  /// networks multiply in bfloat16, but for exact ones: run.precision
  bool bf16 = false;
  const std::atomic<bool>* stop = nullptr;  ///< set: evaluations throw Stopped
  void expect_no_stop() const {
    if (stop && stop->load(std::memory_order_relaxed)) throw Stopped();
  }
  CallPlugin call = nullptr;  ///< null: plugins' code runs unnamed
  std::int64_t max_nfe = 0;   ///< evaluations of a row; 0: unlimited
  // What is evaluated.
  std::vector<Guiding> guides;  ///< in order; each stands before the one before it
  Condition condition;          ///< a row for each sample of the call
  /// [B] bool, the rows that networks are told it; the others' is the null. Undefined: all
  at::Tensor told;
  Noise* dropout = nullptr;  ///< in training
  /// Sees every evaluation, in the network's name: the search for the first value that is not
  /// finite.
  std::function<void(const at::Tensor& x, const Times& t, const at::Tensor& out)> look;
  // What it came to.
  Counts counts;
  bool over_budget = false;  ///< a row asked for more than max_nfe
};

}  // namespace scorelab
