#include <scorelab/dataset.h>
#include <scorelab/error.h>
#include <scorelab/nn.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// A classifier of noisy or clean samples: a multilayer perceptron on the flattened sample and the
/// time, whose last hidden layer is its features.
class MlpClassifier final : public Network {
 public:
  void params(Params& p) override {
    hidden_.params(p);
    p.needs("labels", "its classes are those of the data");
    p.gives("classifies");
    p.gives("trains");
  }
  void check() const override { hidden_.check(); }
  void prepare(const Setting& setting) override {
    classes_ = classes_of(setting.data->conditions());
    if (classes_ < 2)
      throw Error("the data set names " + std::to_string(classes_) +
                  " classes; a classifier needs two");
    nn::Weights w(setting.options);
    hidden_.prepare(w, c10::multiply_integers(setting.shape));
    out_ = nn::Linear(w, "out", hidden_.width(), classes_);
    parameters_ = w.list;
  }
  NamedTensors parameters() override { return parameters_; }
  at::Tensor forward(const Input&) override { throw Error("it is a classifier: it says no score"); }
  Classified classify(const Input& in) override {
    const at::Tensor h = hidden_(in);
    return {out_(h), h};
  }

 private:
  std::int64_t classes_ = 0;
  nn::Hidden hidden_{32, 1};
  nn::Linear out_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(MlpClassifier, network, "mlp-classifier", "1.0.0",
                "multilayer perceptron that names the class of a sample")
