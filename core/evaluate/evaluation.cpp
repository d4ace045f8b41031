#include "evaluate/evaluation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace scorelab {

Items reference_of(const DataSet& data, std::int64_t rows, std::uint64_t seed,
                   const std::string& stream, const InItsName& call) {
  auto index = reference_order(data, rows, Noise(seed, stream));
  const auto count = static_cast<std::int64_t>(index.size());
  return {
      count, data.shape(),
      [&data, seed, stream, call, index = std::move(index)](std::int64_t first, std::int64_t n) {
        Noise own = Noise(seed, stream, first).stream("data");
        Condition condition;
        at::Tensor out;
        run_as(call, data, [&] {
          out = data.get({index.begin() + first, index.begin() + first + n}, own, condition)
                    .to(at::kDouble);
        });
        return out;
      }};
}

std::vector<Measurement> evaluate(const Metric& metric, const DataSet& data, const Space& space,
                                  const Subject& s, std::uint64_t seed, const InItsName& call) {
  const c10::AutoGradMode no_grad(false);
  Noise noise(seed, "metric");
  std::optional<Law> law;
  Items reference;
  Grey grey;
  run_as(call, data, [&] {
    law = data.exact();
    grey = data.grey();
    if (s.draws > 0) reference = reference_of(data, s.draws, seed, "reference", call);
  });
  std::vector<Measurement> out;
  run_as(call, metric, [&] {
    out = metric.measure({s.samples, reference, law ? &*law : nullptr, noise, s.moments, s.model,
                          &space, grey, s.paths});
  });
  return out;
}

}  // namespace scorelab
