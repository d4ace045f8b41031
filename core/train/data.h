#pragma once
#include <scorelab/dataset.h>

namespace scorelab {

/// Rows of a data set, encoded, in the model's dtype and device. The indices and what set and space draw come from `noise`.
at::Tensor draw_data(const DataSet& data, const Space& space, std::int64_t rows, Noise& noise, const at::TensorOptions& options,
                     Condition& condition);

/// Draws in data units, float64 on the CPU: of a stored set, different items, in random order, as many as there are.
at::Tensor draw_reference(const DataSet& data, std::int64_t rows, Noise& noise);

}  // namespace scorelab
