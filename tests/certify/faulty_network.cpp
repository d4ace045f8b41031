// A network of one hidden layer with one fault, which FAULT names: `scorelab certify` must fail the
// check that shows it.
#include <ATen/ATen.h>
#include <scorelab/nn.h>
#include <scorelab/plugin.h>

#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;

class Faulty final : public Network {
 public:
  void params(Params& p) override { p.gives("trains"); }
  void prepare(const Setting& setting) override {
    std::int64_t dim = 1;
    for (const auto n : setting.shape) dim *= n;
    nn::Weights w(setting.options);
    time_ = nn::Linear(w, "time", 32, width);
    in_ = nn::Linear(w, "in", dim, width);
    out_ = nn::Linear(w, "out", width, dim);
    if (fault == "unused-parameter") nn::Linear(w, "unused", 3, 3);
    parameters_ = w.list;
  }
  NamedTensors parameters() override { return parameters_; }
  at::Tensor forward(const Input& in) override {
    at::Tensor h = in_(in.x.flatten(1));
    if (fault == "detached") h = h.detach();
    if (fault == "batch-norm") h = h - h.mean(0, true);
    if (fault == "sees-those-before") h = h.cumsum(0);
    if (fault == "default-generator") h = h + 0.01 * at::randn_like(h);
    if (fault == "state-between-calls") h = h + 0.001 * calls_++;
    const at::Tensor y = out_(at::silu(h + time_(nn::time_embedding(in.time, 32)))).view_as(in.x);
    return fault == "wrong-dtype" ? y.to(at::kDouble) : fault == "wrong-shape" ? y.flatten() : y;
  }

 private:
  static constexpr std::int64_t width = 16;
  nn::Linear time_, in_, out_;
  NamedTensors parameters_;
  int calls_ = 0;
};
}  // namespace
SCORELAB_PLUGIN(Faulty, network, "network-" FAULT, "0.1.0", "has a fault")
