#include <scorelab/nn.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// A multilayer perceptron on the flattened sample and the time.
class Mlp final : public Network {
 public:
  void params(Params& p) override {
    hidden_.params(p);
    p("classes", classes_,
      "number of class labels it takes, as vectors added to the time embedding; 0: none")
        .range(0, 1e6);
    p.needs("labels", "its classes are those of the data").above("classes", 0);
    p.gives("conditional").above("classes", 0);
    p.gives("trains");
    p.gives("variance");
  }
  void check() const override { hidden_.check(); }
  void prepare(const Setting& setting) override {
    const std::int64_t dim = c10::multiply_integers(setting.shape);
    nn::Weights w(setting.options);
    hidden_.prepare(w, dim);
    out_ = nn::Linear(w, "out", hidden_.width(), setting.parts * dim);
    if (classes_ > 0) class_ = nn::ClassEmbedding(w, "class", classes_, hidden_.width());
    parameters_ = w.list;
    parts_ = setting.parts;
  }
  NamedTensors parameters() override { return parameters_; }
  std::vector<ConditionType> conditions() const override {
    if (classes_ == 0) return {};
    return {class_label(classes_)};
  }
  at::Tensor forward(const Input& in) override {
    auto shape = in.x.sizes().vec();
    shape[1] *= parts_;
    return out_(hidden_(in, classes_ > 0 ? class_(in) : at::Tensor())).view(shape);
  }

 private:
  std::int64_t classes_ = 0, parts_ = 1;
  nn::Hidden hidden_{128, 3};
  nn::Linear out_;
  nn::ClassEmbedding class_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(Mlp, network, "mlp", "1.0.0", "multilayer perceptron with time embedding")
