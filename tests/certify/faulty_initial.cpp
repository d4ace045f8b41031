// The prior with one fault, which FAULT names: `scorelab certify` must fail the check that shows
// it.
#include <ATen/ATen.h>
#include <scorelab/initial.h>
#include <scorelab/plugin.h>

#include <random>
#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;

class Faulty final : public Initial {
 public:
  void params(Params& p) override { p.gives("exact-moments"); }
  at::Tensor draw(const Start& start, Noise& noise) const override {
    const at::Tensor& like = start.like;
    const double std = start.scheduler.prior_std();
    if (fault == "default-generator") return std * at::randn_like(like);
    if (fault == "rows-share")
      return std * noise.normal(like).narrow(0, 0, 1).expand_as(like).contiguous();
    if (fault == "elements-share")
      return std * noise.normal(like.flatten(1).narrow(1, 0, 1)).expand_as(like).contiguous();
    if (fault == "own-generator" || fault == "constant-generator") {
      static std::mt19937 own(3);
      std::mt19937 constant(7);
      std::normal_distribution<double> normal;
      at::Tensor z = at::empty(like.sizes(), at::kDouble);
      for (std::int64_t i = 0; i < z.numel(); ++i)
        z.data_ptr<double>()[i] = normal(fault == "own-generator" ? own : constant);
      return std * z.to(like.options());
    }
    const at::Tensor x = std * noise.normal(like);
    return fault == "wrong-dtype" ? x.to(at::kHalf) : x;
  }
  std::optional<Moments> moments(const Start& start) const override {
    const at::Tensor zero = at::zeros(start.like.sizes().slice(1), at::kDouble);
    const double std = start.scheduler.prior_std();
    const double variance = fault == "wrong-variance"   ? 1.1 * std * std
                            : fault == "states-a-point" ? 0
                                                        : std * std;
    return Moments{fault == "wrong-mean" ? zero + 0.1 * std : zero, zero + variance};
  }
};
}  // namespace
SCORELAB_PLUGIN(Faulty, initial, "initial-" FAULT, "0.1.0", "has a fault")
