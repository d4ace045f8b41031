#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace {

/// On a busy machine two threads make tiny tensors many times slower. Tests of threading ask for
/// two themselves.
class OneThread : public testing::Environment {
 public:
  void SetUp() override { at::set_num_threads(1); }
};
[[maybe_unused]] const auto* const one_thread = testing::AddGlobalTestEnvironment(new OneThread);

}  // namespace
