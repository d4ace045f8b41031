#include <ATen/ATen.h>
#include <scorelab/initial.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Clean draws of the data: does a sampler stay where it should be?
class Data final : public Initial {
 public:
  at::Tensor draw(const Start& start, Noise& noise) const override { return start.clean(noise); }
};
}  // namespace
SCORELAB_PLUGIN(Data, initial, "data", "1.0.0", "clean draws of the data")
