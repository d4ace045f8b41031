#pragma once
#include <filesystem>
#include <functional>

#include "host/experiment.h"

namespace scorelab::host {

/// The stored weights that a spec of a model or a sampling asks for, by name; as load_weights, which checks that they fit.
NamedTensors stored_weights(const std::filesystem::path& results, const Json& spec, const SampleOptions& options,
                            const std::function<void(const std::string& why)>& damaged);

/// Puts the stored weights that a sampling's spec asks for (which average, which checkpoint) into the network. `damaged` is told of each
/// checkpoint that is not used. Throws NotReady where the training lacks them.
void load_weights(const std::filesystem::path& results, const Json& spec, Network& network, const SampleOptions& options,
                  const std::function<void(const std::string& why)>& damaged);

}  // namespace scorelab::host
