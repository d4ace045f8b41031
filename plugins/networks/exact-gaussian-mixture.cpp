#include <scorelab/network.h>
#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <vector>

namespace {
using namespace scorelab;

/// The score of a Gaussian mixture in closed form, at every t: what a perfectly trained network
/// would answer. Nothing is trained.
class ExactGaussianMixture final : public Network {
 public:
  void params(Params& p) override {
    p("labels", labels_, "takes each sample's class and gives the score of that component alone");
    p.needs("labels", "its classes are those of the data").when("labels", {"true"});
    p.gives("conditional").when("labels", {"true"});
    p.needs("mixture-law", "its score is that of a Gaussian mixture");
    p.gives("exact");
    p.gives("second-order");
  }
  void prepare(const Setting& setting) override {
    if (!setting.law) throw Error("the data set states no law, so that there is no exact score");
    law_ = setting.law->like(at::empty({0}, setting.options));
    // Where alpha ends at 0 a score says nothing of x_0 there, but v does.
    if (setting.scheduler->alpha(setting.scheduler->t_max()).one() == 0) states_ = Quantity::v;
  }
  at::Tensor forward(const Input& in) override {
    at::Tensor out = answer(law_, in);
    if (!labels_) return out;
    const at::Tensor& label = in.condition.at("label");
    std::vector<std::int64_t> column(in.x.dim(), 1);
    column[0] = in.x.size(0);
    for (std::int64_t k = 0; k < law_.weights.size(0); ++k)
      if (const at::Tensor here = label == k; here.any().item<bool>())
        out = at::where(here.view(column), answer(component(k), in), out);
    return out;
  }
  std::vector<ConditionType> conditions() const override {
    if (!labels_) return {};
    return {class_label(law_.weights.size(0))};
  }
  std::optional<Quantity> states() const override { return states_; }

 private:
  at::Tensor answer(const Law& law, const Input& in) const {
    return states_ == Quantity::v ? law.v(in.x, in.alpha, in.sigma)
                                  : law.score(in.x, in.alpha, in.sigma);
  }
  Law component(std::int64_t k) const {
    return {at::ones({1}, law_.weights.options()), law_.means.narrow(0, k, 1),
            law_.variances.narrow(0, k, 1),
            law_.bases.defined() ? law_.bases.narrow(0, k, 1) : law_.bases};
  }

  bool labels_ = false;
  Law law_;
  Quantity states_ = Quantity::score;
};
}  // namespace
SCORELAB_PLUGIN(ExactGaussianMixture, network, "exact-gaussian-mixture", "1.0.0",
                "the exact score of a Gaussian mixture")
