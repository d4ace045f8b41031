#pragma once
#include <scorelab/dataset.h>
#include <scorelab/sampler.h>

#include <functional>
#include <memory>
#include <string>

#include "model/model_state.h"
#include "params/tables.h"

namespace scorelab {

/// One sampling: what is needed for any of its calls.
struct Sampling {
  std::shared_ptr<Model::State> model;  ///< with the chunk, the bound on evaluations and the stop flag set
  std::shared_ptr<Sampler> sampler;
  std::shared_ptr<DataSet> data;
  SampleOptions options;
  std::uint64_t seed = 0;
  at::TensorOptions tensors;
  std::string stream = "sample";
  std::function<void(const Component&, const std::function<void()>&)> call;  ///< runs a slot's plugin, naming it
  std::function<void(const Times&, const at::Tensor&)> observe;

  /// Samples of one call: the chunk, or the fewest whole groups that hold it.
  std::int64_t rows() const;
};

struct Sampled {
  at::Tensor x;                   ///< [n, ..] in data units, on the CPU
  std::vector<std::int64_t> nfe;  ///< [n]
};

/// Samples first .. first + n - 1, n <= rows(): computed whole and cut, so that sample k has the same bits whatever n is. Throws Error that
/// names step, t and tensor where a value is not finite.
Sampled draw_samples(Sampling& sampling, std::int64_t first, std::int64_t n);

}  // namespace scorelab
