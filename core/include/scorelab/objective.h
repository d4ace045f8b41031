#pragma once
#include <scorelab/model.h>
#include <scorelab/network.h>
#include <scorelab/noise.h>
#include <scorelab/state.h>

#include <string>

namespace scorelab {

/// What the host draws for one training step, the same for every objective. B rows.
struct TrainBatch {
  at::Tensor x0, eps, x;  ///< clean, noise, and x = alpha x0 + sigma eps
  Times t;
  PerRow importance = 1;  ///< of each t: the loss of a row is multiplied by it
  at::Tensor label = {};  ///< [B] int64, the classes; undefined where the data name none
};

struct TrainRun {
  Model& model;
  const Scheduler& scheduler;
  Noise& noise;        ///< this step's own
  std::int64_t step;   ///< from 1 to steps; in an evaluation the last one made
  std::int64_t steps;  ///< train.steps
};

/// How t is drawn in training: a shared group of parameters, `times.params(p)`.
class TimeLaw {
 public:
  TimeLaw(std::string times = "uniform") : times_(std::move(times)) {}  // NOLINT: an objective's default
  void params(Params& p);
  struct Drawn {
    Times t;
    /// What the loss at t is multiplied by, so that its mean is that of uniform times, on a chain that over its levels; 1 for log-normal,
    /// whose own mean is meant.
    PerRow importance = 1;
  };
  /// One time a row from `u`, B uniform numbers in (0, 1).
  Drawn draw(const Scheduler& scheduler, const std::vector<double>& u) const;

  /// Whether it draws by the losses that it has seen: loss-second-moment.
  bool learns() const { return times_ == "loss-second-moment"; }
  /// Takes note of losses at these times, without their importance.
  void learn(const Scheduler& scheduler, const Times& t, const std::vector<double>& losses);
  void state(State& s) { s.tensor("loss_history", history_); }
  /// The same law without what it has learnt: for an evaluation, whose draws do not depend on the training so far.
  TimeLaw unlearnt() const;

 private:
  std::vector<double> chances(std::int64_t levels) const;
  std::string times_;
  double mean_ = -1.2, std_ = 1.2;
  at::Tensor history_;  ///< the losses seen: [N, 11], the last ten of each level, oldest first, and how many there are
};

/// The training loss and nothing else.
class Objective : public Component {
 public:
  static constexpr const char* kind = "objective";
  ~Objective() override;
  /// The loss of each sample: [B]. Gradients flow to the network's parameters. With train.accumulate it is asked for parts of a batch.
  virtual at::Tensor loss(TrainRun& run, const TrainBatch& batch) const = 0;
  /// What it carries from step to step; one of its own calls this one too. By default the law of times, which may learn.
  virtual void state(State& s);

  TimeLaw times;
};

}  // namespace scorelab
