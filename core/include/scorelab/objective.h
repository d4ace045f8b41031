#pragma once
#include <scorelab/draft/own_network.h>
#include <scorelab/model.h>
#include <scorelab/network.h>
#include <scorelab/noise.h>
#include <scorelab/state.h>

#include <optional>
#include <string>

namespace scorelab {

/// What the host draws for one training step, the same for every objective. B rows.
struct TrainBatch {
  at::Tensor x0, eps, x;  ///< clean, noise, and x = alpha x0 + sigma eps
  Times t;
  PerRow importance = 1;  ///< of each t: the loss of a row is multiplied by it
  /// the conditions that the data set gives with x0, for every row; the model does not see those of
  /// rows that train.drop_condition drops
  Condition condition = {};
};

struct TrainRun {
  Model& model;
  const Scheduler& scheduler;
  Noise& noise;        ///< this step's own
  std::int64_t step;   ///< from 1 to steps; in an evaluation the last one made
  std::int64_t steps;  ///< train.steps
  /// The model with the moving average of its weights that Objective::average_rate asks for,
  /// frozen; otherwise null.
  Model* average = nullptr;
};

/// How t is drawn in training: a shared group of parameters, `times.params(p)`.
class TimeLaw {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): an objective's default
  TimeLaw(std::string times = "uniform") : times_(std::move(times)) {}
  void params(Params& p);
  struct Drawn {
    Times t;
    /// The importance weight of the loss at t, which makes its mean that under uniform times (or
    /// levels, if discrete); 1 for log-normal, whose own mean is meant.
    PerRow importance = 1;
  };
  /// One time a row from `u`, B uniform numbers in (0, 1).
  Drawn draw(const Scheduler& scheduler, const std::vector<double>& u) const;

  /// Whether it draws by the losses that it has seen: loss-second-moment.
  bool learns() const { return times_ == "loss-second-moment"; }
  /// Takes note of losses at these times, without their importance.
  void learn(const Scheduler& scheduler, const Times& t, const std::vector<double>& losses);
  void state(State& s) { s.tensor("loss_history", history_); }
  /// The same law without what it has learnt: for an evaluation, whose draws do not depend on the
  /// training so far.
  TimeLaw unlearnt() const;

 private:
  std::vector<double> chances(std::int64_t levels) const;
  std::string times_;
  double mean_ = -1.2, std_ = 1.2;
  /// the losses seen: [N, 11], the last ten of each level, oldest first, and how many there are
  at::Tensor history_;
};

/// The training loss and nothing else.
class Objective : public Component {
 public:
  static constexpr const char* kind = "objective";
  ~Objective() override;
  /// The loss to minimise: one number per sample, [B]; or one for the batch, [], if the loss
  /// couples samples, as contrastive ones do: such an objective gives "batch-loss", and excludes
  /// train.accumulate and weighted times. Called with gradients on in training, and off in
  /// evaluations: an objective that differentiates by itself switches them on. With
  /// train.accumulate it is asked for parts of a batch in turn, so that a sample's loss must not
  /// depend on its neighbours.
  virtual at::Tensor loss(TrainRun& run, const TrainBatch& batch) const = 0;
  /// The networks that it trains beside the model's, always the same; by default none.
  virtual std::vector<OwnNetwork*> networks();
  /// The loss of one of these, [B] or [] as for loss(). Called in training only.
  virtual at::Tensor loss_of(const OwnNetwork& network, TrainRun& run,
                             const TrainBatch& batch) const;
  /// For an objective that learns from a moving average of the model's weights, run.average: the
  /// rate mu, from 0 to 1, of the update after step n of `steps`, average <- mu average + (1 - mu)
  /// weights. mu = 0 is the weights themselves, without gradients. No value, the default: no
  /// average is kept. The host asks for step 0 first. A consistency model's teacher is one (Song et
  /// al. 2023, algorithm 3).
  virtual std::optional<double> average_rate(std::int64_t step, std::int64_t steps) const;
  /// What it carries from step to step; one of its own calls this one too. By default the law of
  /// times, which may learn.
  virtual void state(State& s);

  TimeLaw times;
};

}  // namespace scorelab
