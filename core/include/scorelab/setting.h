#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace scorelab {

class DataSet;
struct Law;
class Scheduler;
class Space;

/// What surrounds a component: handed to prepare. The data set is prepared first, then the space,
/// the scheduler and the rest. Each is told of those before it; what is not prepared yet is null.
struct Setting {
  const Scheduler* scheduler = nullptr;
  at::TensorOptions options = {};  ///< dtype and device of x and of weights
  /// in which networks multiply: kBFloat16 with run.precision = "bf16", otherwise options' dtype
  at::ScalarType compute = at::kFloat;
  /// of one sample as the model sees it; of one item for the space; empty for the data set
  std::vector<std::int64_t> shape = {};
  /// the data set's own in the model's units, where both are known
  const Law* law = nullptr;
  const DataSet* data = nullptr;
  const Space* space = nullptr;
  std::int64_t parts = 1;  ///< of a network's answer: 2 where it says the variance too
};

}  // namespace scorelab
