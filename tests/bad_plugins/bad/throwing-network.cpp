#include <ATen/ATen.h>
#include <scorelab/network.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Throws in the method that is named.
struct ThrowingNetwork final : Network {
  void params(Params& p) override {
    p("in", in_, "the method").one_of({"parameters", "initialise", "constrain", "conditions"});
    p.gives("trains");
  }
  void prepare(const Setting& setting) override {
    weight_ = at::ones({}, setting.options).requires_grad_();
  }
  NamedTensors parameters() override {
    reached("parameters");
    return {{"weight", weight_}};
  }
  void initialise(const std::string&, at::Tensor&, Noise&) override { reached("initialise"); }
  void constrain() override { reached("constrain"); }
  std::vector<ConditionType> conditions() const override {
    reached("conditions");
    return {};
  }
  at::Tensor forward(const Input& in) override { return in.x * weight_; }

 private:
  void reached(const char* method) const {
    if (in_ == method) throw Error("the wires are crossed in " + in_);
  }
  std::string in_ = "parameters";
  at::Tensor weight_;
};
}  // namespace
SCORELAB_PLUGIN(ThrowingNetwork, network, "throwing-network", "1.0.0",
                "throws in the method that is named")
