#include <ATen/ATen.h>
#include <scorelab/nn.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// A multilayer perceptron that is told the sum of its words' vectors. A sentence without words,
/// the null, has a vector of its own.
class BagOfTokens final : public Network {
 public:
  void params(Params& p) override {
    hidden_.params(p);
    p.gives("conditional");
    p.gives("trains");
  }
  void check() const override { hidden_.check(); }
  void prepare(const Setting& setting) override {
    nn::Weights w(setting.options);
    hidden_.prepare(w, 2);
    out_ = nn::Linear(w, "out", hidden_.width(), 2);
    words_ = w.add("words.weight", {5, hidden_.width()});
    offset_ = nn::Linear(w, "offset", 2, hidden_.width());
    parameters_ = w.list;
  }
  std::vector<ConditionType> conditions() const override {
    return {{.name = "offset", .shape = {2}, .dtype = at::kFloat, .null = at::full({2}, -9.0)},
            {.name = "tokens", .shape = {4}, .classes = 3}};
  }
  NamedTensors parameters() override { return parameters_; }
  at::Tensor forward(const Input& in) override {
    const at::Tensor& tokens = in.condition.at("tokens");
    at::Tensor row = tokens.masked_fill(tokens < 0, 3);  // 3: no word, which adds nothing
    const at::Tensor none = (tokens < 0).all(1, true);
    at::Tensor known = words_.index_select(0, row.flatten()).view({in.x.size(0), 4, -1});
    known = (known * (row < 3).unsqueeze(-1)).sum(1);
    known = at::where(none, words_.narrow(0, 4, 1), known);
    return out_(hidden_(in, known + offset_(in.condition.at("offset"))));
  }

 private:
  nn::Hidden hidden_{128, 3};
  nn::Linear out_, offset_;
  at::Tensor words_;
  NamedTensors parameters_;
};
}  // namespace
SCORELAB_PLUGIN(BagOfTokens, network, "bag-of-tokens", "1.0.0",
                "a multilayer perceptron that is told a sentence")
