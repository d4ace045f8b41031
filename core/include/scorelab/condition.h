#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace scorelab {

/// Named tensors that a network may use beside x and t, a row a sample: "label" [B] int64, -1 where a sample has none. Absent where the
/// model is asked without. Data sets fill it, the host binds it; samplers never see it.
using Condition = std::map<std::string, at::Tensor>;

}  // namespace scorelab
