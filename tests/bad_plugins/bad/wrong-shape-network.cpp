#include <scorelab/network.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Drops a column.
struct WrongShapeNetwork final : Network {
  void params(Params& p) override { p.gives("exact"); }
  at::Tensor forward(const Input& in) override { return in.x.narrow(1, 0, 1); }
  std::optional<Quantity> states() const override { return Quantity::score; }
};
}  // namespace
SCORELAB_PLUGIN(WrongShapeNetwork, network, "wrong-shape-network", "1.0.0", "drops a column")
