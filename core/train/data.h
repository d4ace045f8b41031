#pragma once
#include <scorelab/dataset.h>

namespace scorelab {

/// Rows of a data set in the model's range, dtype and device. The indices and what the set itself draws come from `noise`.
at::Tensor draw_data(const DataSet& data, std::int64_t rows, Noise& noise, const at::TensorOptions& options, Condition& condition);

/// Draws in data units, float64 on the CPU: of a stored set, different items, in random order, as many as there are.
at::Tensor draw_reference(const DataSet& data, std::int64_t rows, Noise& noise);

}  // namespace scorelab
