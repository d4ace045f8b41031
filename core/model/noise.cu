#include <scorelab/philox.h>

#include "noise_cuda.h"

namespace scorelab::noise {
namespace {

/// One thread a quad of elements; the twin of draw_row in noise.cpp.
template <class T>
__global__ void draw(std::uint64_t key, std::int64_t first, std::int64_t rows, std::int64_t width,
                     const std::uint32_t* counts, const std::uint8_t* active, std::uint32_t count,
                     philox::Law law, T* out) {
  const std::int64_t quads = (width + 3) / 4, n = rows * quads;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t row = i / quads, quad = i % quads;
    double four[4] = {0, 0, 0, 0};
    if (!active || active[row])
      philox::values(
          philox::words(key, static_cast<std::uint32_t>(quad), counts ? counts[row] : count,
                        static_cast<std::uint64_t>(first + row)),
          law, four);
    for (int j = 0; j < 4 && 4 * quad + j < width; ++j)
      out[row * width + 4 * quad + j] = philox::narrowed<T>(four[j], law);
  }
}

template <class T>
void launch(const DeviceDraw& d, cudaStream_t stream) {
  const std::int64_t n = d.rows * ((d.width + 3) / 4);
  const int threads = 256;
  const auto blocks = static_cast<int>(n / threads + 1 < 4096 ? n / threads + 1 : 4096);
  draw<T><<<blocks, threads, 0, stream>>>(d.key, d.first, d.rows, d.width, d.counts, d.active,
                                          d.count, static_cast<philox::Law>(d.law),
                                          static_cast<T*>(d.out));
}

}  // namespace

cudaError_t launch_draw(const DeviceDraw& d, cudaStream_t stream) {
  if (d.rows > 0 && d.width > 0)
    d.dtype == 8 ? launch<double>(d, stream) : launch<float>(d, stream);
  return cudaGetLastError();
}

}  // namespace scorelab::noise
