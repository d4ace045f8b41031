#pragma once
#include <scorelab/dataset.h>
#include <scorelab/initial.h>
#include <scorelab/sampler.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/draw_data.h"
#include "model/evaluation.h"
#include "params/tables.h"

namespace scorelab {

/// One sampling: what is needed for any of its calls.
struct Sampling {
  std::shared_ptr<const Model::Parts> model;
  /// what each call's begins as: chunk, limit, stop, guides
  Model::Context context;
  /// what the models of the stage take together, with the network's own nulls
  std::vector<ConditionType> conditions;
  std::shared_ptr<Sampler> sampler;
  std::shared_ptr<DataSet> data;
  bool paths = false;  ///< a step's normals are increments of Brownian paths
  SampleOptions options;
  std::uint64_t seed = 0;
  at::TensorOptions tensors;
  std::string stream = "sample";
  /// [draws, samples, ..] what is drawn, the start's first; undefined: fresh normals
  at::Tensor recorded = {};
  InItsName call;
  std::function<void(const Times&, const at::Tensor&)> observe;
  /// x in data units, from the start to the last step
  std::function<void(const Times&, const at::Tensor&)> trace;

  /// Samples of one call: the chunk, or the fewest whole groups that hold it.
  std::int64_t rows() const;
};

struct Sampled {
  at::Tensor x;                   ///< [n, ..] in data units, on the CPU
  std::vector<std::int64_t> nfe;  ///< [n]
  /// [n, ..] each, what conditional models were told; the network's null where it was told nothing
  Condition condition = {};
  /// [n, ..] the draws of the data that guides observed, in data units; undefined where none did
  at::Tensor clean = {};
};

/// Samples first .. first + n - 1, n <= rows(): computed whole and cut, so that sample k has the
/// same bits whatever n is. Throws Error that names step, t and tensor where a value is not finite.
Sampled draw_samples(const Sampling& sampling, std::int64_t first, std::int64_t n);

/// Mean and variance of the result, in data units, and the evaluations of a sample, exactly: the
/// sampler must be affine in x and its draws, element by element, and is told apart from one that
/// is not by a random probe. Throws Error.
struct ExactMoments {
  Moments moments;
  std::int64_t nfe;
};
ExactMoments exact_moments(const Sampling& sampling);

/// The evaluations of one sample, or nothing where they exceed `bound`: a dry run on the fewest
/// rows.
std::optional<std::int64_t> dry_run(const Sampling& sampling, std::int64_t bound);
/// The most steps that `nfe` evaluations buy; `cost(n)`: what n steps cost, nothing where that
/// exceeds `nfe`. Throws Error where one step does.
std::int64_t steps_within(
    std::int64_t nfe, const std::function<std::optional<std::int64_t>(std::int64_t steps)>& cost);

}  // namespace scorelab
