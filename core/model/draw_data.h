#pragma once
#include <scorelab/dataset.h>

namespace scorelab {

/// Items as their data set gives them: on the CPU, in data units.
struct DataItems {
  at::Tensor x;
  Condition condition;
};

/// Items of a data set, drawn at random. The indices and what the set draws come from `noise`.
/// Throws Error where conditions are not those that the set names.
DataItems take_items(const DataSet& data, std::int64_t rows, const Noise& noise);

/// Items encoded, in the model's dtype and device, and their conditions there. What the space draws
/// comes from `noise`.
at::Tensor encode_items(DataItems items, const Space& space, const Noise& noise,
                        const at::TensorOptions& options, Condition& condition);

/// take_items, then encode_items.
at::Tensor draw_data(const DataSet& data, const Space& space, std::int64_t rows, const Noise& noise,
                     const at::TensorOptions& options, Condition& condition);

/// Which items stand for the data: of a stored set different ones, in random order, as many as
/// there are.
std::vector<std::int64_t> reference_order(const DataSet& data, std::int64_t rows,
                                          const Noise& noise);

}  // namespace scorelab
