#pragma once
#include <scorelab/dataset.h>
#include <scorelab/metric.h>

#include <vector>

namespace scorelab {

/// What a metric measures: samples ([N, ..] float64, data units; undefined where `moments` are all that is known), or the model.
struct Subject {
  at::Tensor samples;
  const Moments* moments = nullptr;
  Model* model = nullptr;
  const Paths* paths = nullptr;
  std::int64_t draws = 0;  ///< fresh draws of the data beside it
};

/// `space`: of the experiment. The draws depend on the seed alone, so that variants are compared with the same ones.
std::vector<Measurement> evaluate(const Metric& metric, const DataSet& data, const Space& space, const Subject& subject,
                                  std::uint64_t seed);

}  // namespace scorelab
