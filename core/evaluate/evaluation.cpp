#include "evaluate/evaluation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "train/data.h"

namespace scorelab {

std::vector<Measurement> evaluate(const Metric& metric, const DataSet& data, const at::Tensor& samples, const Moments* moments,
                                  std::uint64_t seed) {
  const c10::AutoGradMode no_grad(false);
  Noise draws(seed, "reference"), noise(seed, "metric");
  const auto law = data.exact();
  return metric.measure(
      {samples, samples.defined() ? draw_reference(data, samples.size(0), draws) : at::Tensor(), law ? &*law : nullptr, noise, moments});
}

}  // namespace scorelab
