#pragma once
#include <cuda_runtime_api.h>

#include "noise.h"

namespace scorelab::noise {

/// A draw whose pointers are all device memory.
struct DeviceDraw : Draw {};
cudaError_t launch_draw(const DeviceDraw& draw, cudaStream_t stream);

}  // namespace scorelab::noise
