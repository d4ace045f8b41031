#pragma once
#include <scorelab/dataset.h>

namespace scorelab {

/// Rows of a data set, encoded, in the model's dtype and device. The indices and what set and space draw come from `noise`.
at::Tensor draw_data(const DataSet& data, const Space& space, std::int64_t rows, Noise& noise, const at::TensorOptions& options,
                     Condition& condition);

/// Which items stand for the data: of a stored set different ones, in random order, as many as there are.
std::vector<std::int64_t> reference_order(const DataSet& data, std::int64_t rows, const Noise& noise);

}  // namespace scorelab
