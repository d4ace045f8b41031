#include <scorelab/nn.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// One hidden layer on the flattened sample, with a time embedding.
class Template final : public Network {
 public:
  void params(Params& p) override {
    p("width", width_, "units of the hidden layer").range(1, 65536);
    p.gives("trains");
    p.gives("second-order");  // it can be differentiated twice
  }
  void prepare(const Setting& setting) override {
    std::int64_t dim = 1;
    for (const auto n : setting.shape) dim *= n;
    // parameters under their state-dict names; the host draws their first values
    nn::Weights w(setting.options);
    time_ = nn::Linear(w, "time", 32, width_);
    in_ = nn::Linear(w, "in", dim, width_);
    out_ = nn::Linear(w, "out", width_, dim);
    parameters_ = w.list;
  }
  NamedTensors parameters() override { return parameters_; }
  at::Tensor forward(const Input& in) override {
    const at::Tensor h = at::silu(in_(in.x.flatten(1)) + time_(nn::time_embedding(in.time, 32)));
    return out_(h).view_as(in.x);
  }

 private:
  std::int64_t width_ = 128;
  nn::Linear time_, in_, out_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(Template, network, "template", "0.1.0", "one hidden layer; write what it is")
