#pragma once
#include <optional>

#include "setup/experiment.h"

namespace scorelab::host {

/// What a network weighs, and what one evaluation of one sample costs.
struct Cost {
  std::int64_t parameters = 0;  ///< that a training changes
  /// of matrix products and convolutions, as papers count them: a FLOP count is about twice this.
  /// None where the network cannot be followed without data.
  std::optional<double> multiply_adds;
};

/// Computed on LibTorch's meta device, without allocating memory or doing arithmetic; the network
/// is left prepared there. `config`: what it was made of; `setting`: as it would be prepared with.
/// Throws PluginError as prepare does.
Cost cost_of(const std::shared_ptr<Network>& network, const Json& config, Setting setting);

}  // namespace scorelab::host
