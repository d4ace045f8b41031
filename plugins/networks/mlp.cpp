#include <scorelab/nn.h>
#include <scorelab/plugin.h>

#include <vector>

namespace {
using namespace scorelab;

/// A multilayer perceptron on the flattened sample; the time embedding (sines and cosines, one linear layer) is added in every hidden
/// layer.
class Mlp final : public Network {
 public:
  void params(Params& p) override {
    p("width", width_, "units of a hidden layer").range(1, 65536);
    p("depth", depth_, "number of hidden layers").range(1, 64);
    p("activation", activation_, "of the hidden layers").one_of({"silu", "gelu", "relu", "softplus", "tanh"});
    p("time_features", time_features_, "sines and cosines of the time embedding").range(4, 4096);
    p("classes", classes_, "labels that it is told, as vectors added to the time embedding; 0: none").range(0, 1e6);
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.gives("trains");
    p.gives("variance");
    p.gives("second-order").when("activation", {"silu", "gelu", "softplus", "tanh"});
  }
  void check() const override {
    if (time_features_ % 2) throw Error("`time_features` must be even: as many sines as cosines");
  }
  void prepare(const Setting& setting) override {
    std::int64_t dim = 1;
    for (const auto n : setting.shape) dim *= n;
    nn::Weights w(setting.options);
    time_ = nn::Linear(w, "time", time_features_, width_);
    layers_.clear();
    for (std::int64_t i = 0; i < depth_; ++i) layers_.emplace_back(w, "layers." + std::to_string(i), i == 0 ? dim : width_, width_);
    out_ = nn::Linear(w, "out", width_, setting.parts * dim);
    if (classes_ > 0) class_ = nn::ClassEmbedding(w, "class", classes_, width_);
    parameters_ = w.list;
    parts_ = setting.parts;
  }
  NamedTensors parameters() override { return parameters_; }
  std::int64_t classes() const override { return classes_; }
  at::Tensor forward(const Input& in) override {
    at::Tensor time = time_(nn::time_embedding(in.time, time_features_));
    if (classes_ > 0) time = time + class_(in);
    at::Tensor h = in.x.flatten(1);
    for (const auto& layer : layers_) h = activate(layer(h) + time);
    auto shape = in.x.sizes().vec();
    shape[1] *= parts_;
    return out_(h).view(shape);
  }

 private:
  at::Tensor activate(const at::Tensor& x) const {
    if (activation_ == "silu") return at::silu(x);
    if (activation_ == "gelu") return at::gelu(x);
    if (activation_ == "relu") return at::relu(x);
    if (activation_ == "tanh") return at::tanh(x);
    return at::softplus(x);
  }

  std::int64_t width_ = 128, depth_ = 3, time_features_ = 64, classes_ = 0, parts_ = 1;
  std::string activation_ = "silu";
  nn::Linear time_, out_;
  nn::ClassEmbedding class_;
  std::vector<nn::Linear> layers_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(Mlp, network, "mlp", "1.0.0", "multilayer perceptron with time embedding")
