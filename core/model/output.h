#pragma once
#include <scorelab/network.h>

#include "params/tables.h"

namespace scorelab {

/// What a network's output F means: the manifest's `output` table. Each word is a linear map
/// between F and (x0, eps).
class Output {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): options are an Output
  Output(OutputOptions options = {}) : options_(std::move(options)) {}
  /// What the network is given as x: x itself, or c_in x.
  at::Tensor input(const Scheduler& scheduler, const at::Tensor& x, const Times& t) const;
  /// What it is given as time.
  PerRow time(const Scheduler& scheduler, const Times& t) const;
  /// F read as a quantity that Prediction knows.
  Prediction read(const Scheduler& scheduler, const at::Tensor& x, const Times& t,
                  const at::Tensor& F, const PerRow& active) const;
  Quantity states() const;
  /// How many tensors of x's shape a network answers with, one behind the other along dimension 1.
  std::int64_t parts() const { return options_.variance == "none" ? 1 : 2; }

 private:
  OutputOptions options_;
};

}  // namespace scorelab
