#pragma once
#include <scorelab/dataset.h>

#include <functional>

namespace scorelab {

/// Runs code of a component in its name, so that the host can tell whose it is where it fails;
/// null: it is run as it is.
using InItsName = std::function<void(const Component&, const std::function<void()>&)>;
inline void run_as(const InItsName& call, const Component& owner,
                   const std::function<void()>& body) {
  call ? call(owner, body) : body();
}

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

/// take_items in the name of the data set, then encode_items in that of the space.
at::Tensor draw_data(const DataSet& data, const Space& space, std::int64_t rows, const Noise& noise,
                     const at::TensorOptions& options, Condition& condition,
                     const InItsName& call = {});

/// Which items stand for the data: of a stored set different ones, in random order, as many as
/// there are.
std::vector<std::int64_t> reference_order(const DataSet& data, std::int64_t rows,
                                          const Noise& noise);

}  // namespace scorelab
