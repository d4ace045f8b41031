#include <scorelab/network.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// A NaN in its second evaluation.
struct NanNetwork final : Network {
  void params(Params& p) override { p.gives("exact"); }
  at::Tensor forward(const Input& in) override {
    return in.alpha.max().item<double>() > 0.1 ? in.x.sub(in.x).div(0) : in.x;
  }
  std::optional<Quantity> states() const override { return Quantity::score; }
};
}  // namespace
SCORELAB_PLUGIN(NanNetwork, network, "nan-network", "1.0.0", "a NaN in its second evaluation")
