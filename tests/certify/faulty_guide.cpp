// A pull to the origin with one fault, which FAULT names: `scorelab certify` must fail the check
// that shows it.
#include <ATen/ATen.h>
#include <scorelab/guide.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;

class Faulty final : public Guide {
 public:
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    const Prediction p = run.model(x, t);
    at::Tensor x0 = 0.9 * p.x0();
    if (fault == "state-between-calls") x0 = (1 + 0.001 * calls_++) * x0;
    if (fault == "couples-rows") x0 = x0 - 0.1 * x0.mean(0, true);
    if (fault == "not-finite") x0 = x0 / 0.0;
    if (fault == "default-generator") x0 = x0 + 0.01 * at::randn_like(x0);
    if (fault == "constant-noise") x0 = x0 + 0.01 * Noise(7, "mine").normal(x0);
    if (fault == "wrong-dtype") x0 = x0.to(at::kFloat);
    return p.with(Quantity::x0, x0);
  }

 private:
  mutable int calls_ = 0;
};
}  // namespace
SCORELAB_PLUGIN(Faulty, guide, "guide-" FAULT, "0.1.0", "has a fault")
