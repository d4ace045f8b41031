// Half of the data with one fault, which FAULT names: `scorelab certify` must fail the check that
// shows it.
#include <ATen/ATen.h>
#include <scorelab/plugin.h>
#include <scorelab/space.h>

#include <random>
#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;

class Faulty final : public Space {
 public:
  void params(Params& p) override {
    if (fault != "says-nothing") p.gives("affine-space");
  }
  void prepare(const Setting& setting) override { shape_ = setting.shape; }
  std::vector<std::int64_t> shape() const override {
    return fault == "wrong-shape" ? std::vector<std::int64_t>{3} : shape_;
  }
  at::Tensor encode(const at::Tensor& x, Noise*) const override {
    const at::Tensor z = x / 2;
    if (fault == "default-generator") return z + 1e-3 * at::randn_like(z);
    if (fault == "couples-rows") return z - 0.1 * z.mean(0);
    if (fault == "not-finite") return z / (z - z);
    if (fault == "own-generator") {
      static std::mt19937 own(3);
      return z + 1e-3 * std::normal_distribution<double>()(own);
    }
    return z;
  }
  at::Tensor decode(const at::Tensor& z) const override {
    if (fault == "decodes-to-rows") return (2 * z).flatten(1);
    if (fault == "forgets") return 0 * z;
    if (fault == "decodes-together") return 2 * z - 0.1 * z.mean(0);
    return fault == "undoes-nothing" ? z : 2 * z;
  }
  std::optional<Affine> affine() const override {
    if (fault == "forgets") return {};
    return Affine{fault == "wrong-scale" ? 0.6 : 0.5, 0};
  }

 private:
  std::vector<std::int64_t> shape_;
};
}  // namespace
SCORELAB_PLUGIN(Faulty, space, "space-" FAULT, "0.1.0", "has a fault")
