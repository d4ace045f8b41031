// A Gaussian in the plane with one fault, which FAULT names: `scorelab certify` must fail the check
// that shows it.
#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <random>
#include <string_view>

namespace {
using namespace scorelab;

constexpr std::string_view fault = FAULT;

class Faulty final : public DataSet {
 public:
  void params(Params& p) override {
    for (const char* name : {"gaussian-law", "mixture-law", "density"}) p.gives(name);
  }
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {2}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    static std::mt19937 own(3);
    const auto n = static_cast<std::int64_t>(index.size());
    const at::Tensor like = at::empty({n, fault == "wrong-shape" ? 3 : 2}, at::kDouble);
    at::Tensor x =
        mean + std * (fault == "default-generator" ? at::randn_like(like) : noise.normal(like));
    if (fault == "own-generator") x = x + 0.01 * std::normal_distribution<double>()(own);
    if (fault == "depends-on-neighbours") x = x - 0.1 * x.mean(0, true);
    if (fault == "not-finite") x.select(0, n - 1).fill_(1e308 * 10);
    return fault == "integers" ? x.to(at::kLong) : x;
  }
  std::optional<Law> exact() const override {
    const double stated = fault == "wrong-std" ? 1.05 * std : std;
    return Law{at::ones({1}, at::kDouble),
               at::full({1, 2}, fault == "wrong-mean" ? 1.1 * mean : mean, at::kDouble),
               at::full({1, 2}, stated * stated, at::kDouble),
               {}};
  }

 private:
  static constexpr double mean = 0.4, std = 0.5;
};
}  // namespace
SCORELAB_PLUGIN(Faulty, dataset, "dataset-" FAULT, "0.1.0", "has a fault")
