#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace scorelab {

/// The processes that share one training. Each takes its own parts of every batch, and all sum
/// their gradients, so that all hold the same weights and averages without exchanging them. With
/// train.accumulate = 1, a training over `size` processes has the bits of one process that
/// accumulates as many parts, where sums are made in the order of ranks.
class Collective {
 public:
  Collective(std::int64_t rank, std::int64_t size) : rank(rank), size(size) {}
  virtual ~Collective() = default;
  Collective(const Collective&) = delete;
  Collective& operator=(const Collective&) = delete;

  const std::int64_t rank, size;  ///< this process's number, from 0 to size - 1
  /// Replaces a tensor by the sum over all processes, the same bits in each. All call it with
  /// tensors of one shape, in the same order.
  virtual void sum(at::Tensor& tensor) = 0;
};

}  // namespace scorelab
