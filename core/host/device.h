#pragma once
#include <ATen/core/Tensor.h>
#include <scorelab/error.h>

#include <string>

namespace scorelab::host {

/// A device that the manifest asks for and this machine cannot give.
class DeviceUnavailable : public Error {
 public:
  using Error::Error;
};

/// auto, cpu, cuda or cuda:i as a device. CUDA's libraries are loaded only when the answer may not be the CPU.
at::Device resolve_device(const std::string& asked);

/// Loads libscorelab_cuda.so and asks how many devices there are; `why` says what stands in the way.
int cuda_devices(std::string& why);

}  // namespace scorelab::host
