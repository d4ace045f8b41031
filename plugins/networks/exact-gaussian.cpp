#include <scorelab/network.h>
#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

namespace {
using namespace scorelab;

/// The score of a Gaussian in closed form, at every t: what a perfectly trained network would
/// answer. Nothing is trained.
class ExactGaussian final : public Network {
 public:
  void params(Params& p) override {
    p.needs("gaussian-law", "its score is that of a Gaussian");
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
    return states_ == Quantity::v ? law_.v(in.x, in.alpha, in.sigma)
                                  : law_.score(in.x, in.alpha, in.sigma);
  }
  std::optional<Quantity> states() const override { return states_; }

 private:
  Law law_;
  Quantity states_ = Quantity::score;
};
}  // namespace
SCORELAB_PLUGIN(ExactGaussian, network, "exact-gaussian", "1.0.0", "the exact score of a Gaussian")
