#pragma once
#include <scorelab/dataset.h>
#include <scorelab/metric.h>

#include <vector>

namespace scorelab {

/// A metric of samples ([N, ..] float64, data units; undefined where `moments` are all that is known) against as many fresh draws of the
/// data. The draws depend on the seed alone, so that variants are compared with the same ones.
std::vector<Measurement> evaluate(const Metric& metric, const DataSet& data, const at::Tensor& samples, const Moments* moments,
                                  std::uint64_t seed);

}  // namespace scorelab
