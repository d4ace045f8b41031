#pragma once
#include <exception>
#include <filesystem>
#include <functional>

#include "setup/experiment.h"

namespace scorelab::host {

/// What a stage needs is not there: another run asked the stage before for less. The front end sees
/// to it and tries again.
class NotReady : public std::exception {
 public:
  const char* what() const noexcept override {
    return "an earlier stage lacks what this one needs";
  }
};

/// The stored weights that a spec of a model or a sampling asks for, by name; as load_weights,
/// which checks that they fit.
NamedTensors stored_weights(const std::filesystem::path& results, const Json& spec,
                            const SampleOptions& options,
                            const std::function<void(const std::string& why)>& damaged);

/// Puts the stored weights that a sampling's spec asks for (which average, which checkpoint) into
/// the network. `damaged` is told of each checkpoint that is not used. Throws NotReady where the
/// training lacks them.
void load_weights(const std::filesystem::path& results, const Json& spec, Network& network,
                  const SampleOptions& options,
                  const std::function<void(const std::string& why)>& damaged);

/// The tensors of a safetensors file in the order of `wanted`, whose names the file must have once
/// `map` (train.weights_map) was applied, and no others. Throws Error with what is missing and what
/// is not expected.
NamedTensors file_weights(const std::filesystem::path& file, const std::vector<std::string>& map,
                          const NamedTensors& wanted);

}  // namespace scorelab::host
