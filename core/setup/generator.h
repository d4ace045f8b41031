#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace scorelab::host {

/// Keeps LibTorch's default generators, the CPU's and the device's, as they were: all randomness is
/// the host's Noise.
class KeepGenerator {
 public:
  explicit KeepGenerator(at::Device device = at::kCPU) {
    keep(at::kCPU);
    if (!device.is_cpu()) keep(device);
  }
  ~KeepGenerator() {
    for (auto& [generator, state] : kept_) generator.set_state(state);
  }
  KeepGenerator(const KeepGenerator&) = delete;
  KeepGenerator& operator=(const KeepGenerator&) = delete;
  bool changed() const {
    return std::any_of(kept_.begin(), kept_.end(),
                       [](const auto& k) { return !k.first.get_state().equal(k.second); });
  }

 private:
  void keep(at::Device device) {
    const at::Generator generator = at::globalContext().defaultGenerator(device);
    kept_.emplace_back(generator, generator.get_state());
  }
  std::vector<std::pair<at::Generator, at::Tensor>> kept_;
};

}  // namespace scorelab::host
