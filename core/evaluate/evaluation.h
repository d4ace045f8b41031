#pragma once
#include <scorelab/dataset.h>
#include <scorelab/metric.h>

#include <vector>

#include "model/draw_data.h"

namespace scorelab {

/// What a metric measures: samples (none where `moments` are all that is known), or the model.
struct Subject {
  Items samples;
  const Moments* moments = nullptr;
  Model* model = nullptr;
  const Paths* paths = nullptr;
  std::int64_t draws = 0;  ///< fresh draws of the data beside it
};

/// Draws of the data, `rows` of them; of a stored set different items, in random order, as many as
/// there are. `data` must outlive it.
Items reference_of(const DataSet& data, std::int64_t rows, std::uint64_t seed,
                   const std::string& stream = "reference", const InItsName& call = {});

/// `space`: of the experiment. The draws depend on the seed alone, so that variants are compared
/// with the same ones.
std::vector<Measurement> evaluate(const Metric& metric, const DataSet& data, const Space& space,
                                  const Subject& subject, std::uint64_t seed,
                                  const InItsName& call = {});

}  // namespace scorelab
