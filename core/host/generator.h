#pragma once
#include <ATen/ATen.h>

namespace scorelab::host {

/// Keeps LibTorch's default generator as it was: all randomness is the host's Noise.
class KeepGenerator {
 public:
  KeepGenerator() : generator_(at::globalContext().defaultGenerator(at::kCPU)), state_(generator_.get_state()) {}
  ~KeepGenerator() { generator_.set_state(state_); }
  KeepGenerator(const KeepGenerator&) = delete;
  KeepGenerator& operator=(const KeepGenerator&) = delete;
  bool changed() const { return !generator_.get_state().equal(state_); }

 private:
  at::Generator generator_;
  at::Tensor state_;
};

}  // namespace scorelab::host
