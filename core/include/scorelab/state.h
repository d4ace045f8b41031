#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace scorelab {

/// Goes through what a component carries from one training step to the next: each part once, under
/// a name of its own, and the same names at every visit. The host writes checkpoints and reads them
/// by such visits, so that what is written is what is read.
///
///     void state(State& s) override {
///       s.tensor("history", history_);
///       s.number("mean", mean_);
///     }
class State {
 public:
  virtual ~State();
  /// Undefined where there is none yet. What is read has the dtype of what was written, and lies on
  /// the CPU.
  virtual void tensor(const std::string& name, at::Tensor& value) = 0;
  virtual void number(const std::string& name, double& value) = 0;
  virtual void integer(const std::string& name, std::int64_t& value) = 0;
};

}  // namespace scorelab
