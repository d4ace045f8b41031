#pragma once
#include <scorelab/run.h>

#include <map>
#include <string>

namespace scorelab {

/// One sampling call's memory and noise, by slot. Made by the host; a slot's state is made when its
/// step is first run.
struct Run::State {
  /// a step's normals are increments of Brownian paths
  bool paths = false;
  /// norms are taken over groups of so many samples
  std::int64_t group = 1;
  std::function<void(const Times&, const at::Tensor&)> observe;  ///< null: nobody looks
  /// runs a plugin's code, naming it should it fail
  std::function<void(const Component&, const std::function<void()>&)> call;

  /// What stands for `norm` where rows are no samples: [B, 1, .., 1]; null otherwise.
  std::function<at::Tensor(const at::Tensor& x)> norm;

  CallMemory memory;
  struct Slot {
    std::unique_ptr<Noise> noise;
    std::shared_ptr<State> state;
  };
  std::map<std::string, Slot> slots;
};

}  // namespace scorelab
