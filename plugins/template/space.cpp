#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>
#include <scorelab/space.h>

namespace {
using namespace scorelab;

/// The data shifted and scaled to the mean 0 and the standard deviation that is asked for.
class Template final : public Space {
 public:
  void params(Params& p) override {
    p("std", std_, "standard deviation of the model's values").range(1e-6, 1e6);
    p.needs("items", "it measures them");
    p.gives("affine-space");  // one map for all elements: likelihoods and exact laws carry over
  }
  void prepare(const Setting& setting) override {
    std::vector<std::int64_t> some;
    for (std::int64_t i = 0; i < std::min(setting.data->size(), 10000L); ++i) some.push_back(i);
    Noise noise(0, "template");
    Condition unused;
    const at::Tensor x = setting.data->get(some, noise, unused).to(at::kDouble);
    m_.scale = std_ / x.std().item<double>();
    m_.shift = -m_.scale * x.mean().item<double>();
    shape_ = setting.shape;
  }
  std::vector<std::int64_t> shape() const override { return shape_; }
  at::Tensor encode(const at::Tensor& x, Noise*) const override { return x * m_.scale + m_.shift; }
  at::Tensor decode(const at::Tensor& z) const override { return (z - m_.shift) / m_.scale; }
  std::optional<Affine> affine() const override { return m_; }

 private:
  double std_ = 1;
  Affine m_;
  std::vector<std::int64_t> shape_;
};
}  // namespace
SCORELAB_PLUGIN(Template, space, "template", "0.1.0", "scaled data; write what it is")
