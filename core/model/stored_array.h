#pragma once
#include <ATen/core/Tensor.h>

#include "record/hdf5.h"

namespace scorelab {

/// Between tensors and stored arrays; on the way back, to the CPU.
record::Array to_array(const at::Tensor& tensor);
/// The same in the memory of an array that is already there.
void copy_into(record::Array& array, const at::Tensor& tensor);
at::Tensor to_tensor(const record::Array& array);

}  // namespace scorelab
