#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Points in the plane, each about a place that a sentence of one to four words tells: the sum of
/// its words' steps (right, up, left) and of a vector that comes with it. Shorter sentences are
/// padded with -1.
struct TokenSums final : DataSet {
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {2}; }
  std::vector<ConditionType> conditions() const override {
    return {{.name = "tokens", .shape = {4}, .classes = 3},
            {.name = "offset", .shape = {2}, .dtype = at::kFloat}};
  }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise,
                 Condition& condition) const override {
    const auto rows = static_cast<std::int64_t>(index.size());
    const at::Tensor u = noise.uniform(at::empty({rows, 5}, at::kDouble));
    at::Tensor words = (u.narrow(1, 0, 4) * 3).floor().to(at::kLong);
    const at::Tensor length = 1 + (u.narrow(1, 4, 1) * 4).floor();
    words = words.masked_fill(at::arange(4, at::kDouble).unsqueeze(0) >= length, -1);
    const at::Tensor steps =
        at::tensor({1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0}, at::kDouble).view({4, 2});
    const at::Tensor place =
        steps.index_select(0, words.masked_fill(words < 0, 3).flatten()).view({rows, 4, 2}).sum(1);
    condition["tokens"] = words;
    condition["offset"] = 3 * noise.normal(at::empty({rows, 2}, at::kDouble));
    return place + condition["offset"] + 0.1 * noise.normal(at::empty({rows, 2}, at::kDouble));
  }
};
}  // namespace
SCORELAB_PLUGIN(TokenSums, dataset, "token-sums", "1.0.0", "points that sentences tell")
