#pragma once
#include <scorelab/model.h>
#include <scorelab/network.h>
#include <scorelab/noise.h>

#include <string>

namespace scorelab {

/// What the host draws for one training step, the same for every objective. B rows.
struct TrainBatch {
  at::Tensor x0, eps, x;  ///< clean, noise, and x = alpha x0 + sigma eps
  Times t;
  PerRow importance = 1;  ///< of each t: the loss of a row is multiplied by it
};

struct TrainRun {
  Model& model;
  const Scheduler& scheduler;
  Noise& noise;  ///< this step's own
};

/// How t is drawn in training: a shared group of parameters, `times.params(p)`.
class TimeLaw {
 public:
  void params(Params& p);
  /// One time a row from `u`, B uniform numbers in (0, 1).
  Times draw(const Scheduler& scheduler, const std::vector<double>& u) const;

 private:
  std::string times_ = "uniform";
};

/// The training loss and nothing else.
class Objective : public Component {
 public:
  static constexpr const char* kind = "objective";
  ~Objective() override;
  /// The loss of each sample: [B]. Gradients flow to the network's parameters.
  virtual at::Tensor loss(TrainRun& run, const TrainBatch& batch) const = 0;

  TimeLaw times;
};

}  // namespace scorelab
