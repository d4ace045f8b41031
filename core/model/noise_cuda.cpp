#include "noise_cuda.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace scorelab::noise {
namespace {

at::Tensor on_device(const void* host, std::int64_t bytes, at::Device device) {
  if (!host) return {};
  return at::from_blob(const_cast<void*>(host), {bytes}, at::kByte).to(device);
}

void draw_on_device(const Draw& draw) {
  const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(draw.device));
  // the kernel runs on its tensor's device, and on that one's stream
  const c10::cuda::CUDAGuard guard(device);
  const at::Tensor counts = on_device(draw.counts, draw.rows * 4, device),
                   active = on_device(draw.active, draw.rows, device);
  DeviceDraw d{draw};
  d.counts = counts.defined() ? static_cast<const std::uint32_t*>(counts.data_ptr()) : nullptr;
  d.active = active.defined() ? static_cast<const std::uint8_t*>(active.data_ptr()) : nullptr;
  C10_CUDA_CHECK(launch_draw(d, c10::cuda::getCurrentCUDAStream(device.index())));
}

}  // namespace
}  // namespace scorelab::noise

/// Called once by the host after it has loaded this library.
extern "C" void scorelab_cuda_attach() {
  scorelab::noise::draw_cuda = scorelab::noise::draw_on_device;
}
