#include "evaluate/evaluation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "train/data.h"

namespace scorelab {

std::vector<Measurement> evaluate(const Metric& metric, const DataSet& data, const Space& space, const Subject& s, std::uint64_t seed) {
  const c10::AutoGradMode no_grad(false);
  Noise draws(seed, "reference"), noise(seed, "metric");
  const auto law = data.exact();
  const at::Tensor reference = s.draws > 0 ? draw_reference(data, s.draws, draws) : at::Tensor();
  return metric.measure({s.samples, reference, law ? &*law : nullptr, noise, s.moments, s.model, &space, data.grey(), s.paths});
}

}  // namespace scorelab
