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

/// auto, cpu, cuda or cuda:i as a device. CUDA's libraries are loaded only when the answer may not
/// be the CPU.
at::Device resolve_device(const std::string& asked);

/// Throws DeviceUnavailable where a device cannot compute in this run.precision, and lets a GPU
/// round the factors of float32 products to 10 bits for "tf32" alone; LibTorch does so by itself in
/// convolutions.
void set_precision(const std::string& precision, at::Device device);

/// This process is one of `hosts` on this machine: it has a share of the cores, and the GPU of its
/// turn.
void share_cores(std::size_t host, std::size_t hosts);
/// The cores that are this process' own.
int cores();

/// Loads libscorelab_cuda.so and asks how many devices there are; `why` says what stands in the
/// way.
int cuda_devices(std::string& why);

}  // namespace scorelab::host
