#include "evaluate/evaluation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "model/draw_data.h"

namespace scorelab {

Items reference_of(const DataSet& data, std::int64_t rows, std::uint64_t seed,
                   const std::string& stream) {
  auto index = reference_order(data, rows, Noise(seed, stream));
  const auto count = static_cast<std::int64_t>(index.size());
  return {count, data.shape(),
          [&data, seed, stream, index = std::move(index)](std::int64_t first, std::int64_t n) {
            Noise own = Noise(seed, stream, first).stream("data");
            Condition condition;
            return data.get({index.begin() + first, index.begin() + first + n}, own, condition)
                .to(at::kDouble);
          }};
}

std::vector<Measurement> evaluate(const Metric& metric, const DataSet& data, const Space& space,
                                  const Subject& s, std::uint64_t seed) {
  const c10::AutoGradMode no_grad(false);
  Noise noise(seed, "metric");
  const auto law = data.exact();
  const Items reference = s.draws > 0 ? reference_of(data, s.draws, seed) : Items();
  return metric.measure({s.samples, reference, law ? &*law : nullptr, noise, s.moments, s.model,
                         &space, data.grey(), s.paths});
}

}  // namespace scorelab
