#pragma once
#include <scorelab/dataset.h>
#include <scorelab/objective.h>

#include <atomic>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/evaluation.h"
#include "params/tables.h"
#include "train/ahead.h"
#include "train/arena.h"

namespace scorelab {

/// What a training writes through: it knows neither files nor formats.
class TrainPort {
 public:
  virtual ~TrainPort();
  using Values = std::vector<std::pair<std::string, double>>;
  virtual void row(const std::string& stream, std::int64_t step, const Values& values) = 0;
  virtual void progress(std::int64_t step, double loss) = 0;
  /// Takes the state as it is now; it may be written while training goes on.
  virtual void checkpoint() = 0;
  /// Waits until the last checkpoint is written. Throws what failed.
  virtual void settle() = 0;
  /// With these weights in the network: draw a few samples.
  virtual void preview(std::int64_t step) = 0;
};

/// Goes through the state of a training: everything that its next step depends on, each part once
/// and by name.
class TrainState : public State {
 public:
  /// A tensor laid out as the arena's values: a network's parameters, what the optimiser keeps of
  /// each, an average.
  virtual void parameters(const std::string& group, const Arena& arena, at::Tensor& flat) = 0;
};

/// A network in training, and what Adam keeps of its parameters.
struct Learner {
  explicit Learner(Arena parameters, const OwnNetwork* own = nullptr);
  void state(TrainState& s, const std::string& prefix);

  Arena arena;
  at::Tensor moment1, moment2;
  /// Adam's step count, [] of float32: the step says it too, so that no checkpoint holds it
  at::Tensor updates;
  const OwnNetwork* own;  ///< the objective's; null for the model's network
  double loss_sum = 0;    ///< since the last row of `train`
};

class Collective;

/// One training: its state, and the loop. The host waits for the device where something is reported
/// or stored, and not between.
class Trainer {
 public:
  /// `context`: what that of each batch begins as. `ema`: the rates of the averages to keep.
  /// `others`: with whom each batch is shared; null: it trains alone.
  Trainer(std::shared_ptr<const Model::Parts> model, Model::Context context,
          std::shared_ptr<DataSet> data, std::shared_ptr<Objective> objective, TrainOptions options,
          std::vector<double> ema, std::uint64_t seed, at::TensorOptions tensors,
          const std::atomic<bool>& stop, Collective* others = nullptr);

  /// Gives the objective's own networks their first weights, and trains them too.
  void take_networks();
  /// Evaluations are of these data, in place of those that are learnt from.
  void evaluate_on(std::shared_ptr<DataSet> data) { held_out_ = std::move(data); }
  /// Keeps the average that the objective learns from in `network`, prepared like the model's.
  void average_in(std::shared_ptr<Network> network);
  /// Starts from these weights in place of the network's first ones. Throws Error for a name or
  /// shape that does not fit.
  void start_from(const NamedTensors& weights);
  /// From the present step to the last; checkpoints on the way, when asked to stop (then throws
  /// Stopped) and at the end.
  void run(TrainPort& port);
  std::set<std::int64_t> keep;  ///< steps at which there is a checkpoint beside the usual ones
  /// Runs what calls the data set, or the one that is held out, so that the host can name it where
  /// it fails. Also called from another thread.
  std::function<void(bool held_out, const std::function<void()>&)> around_data =
      [](bool, const auto& body) { body(); };
  /// Seconds of the gradients of `steps` steps, which change neither weights nor state; for
  /// choosing a number of threads.
  double rehearse(std::int64_t steps);

  /// The state but for the step, which stands for itself in a checkpoint.
  void state(TrainState& s);

  std::int64_t step = 0;
  const Arena& arena() const { return model_learner_.arena; }
  /// What a training says of its losses when it has ended.
  struct Losses {
    double first = std::numeric_limits<double>::quiet_NaN();  ///< before the first update
    double sum = 0, squares = 0;                              ///< over the last tenth of the steps
    std::int64_t count = 0;
    double mean() const { return sum / static_cast<double>(count); }
    double spread() const;  ///< standard deviation
  };
  const Losses& losses() const { return losses_; }
  /// Of the last update, rows counted one by one; the gradient's own sweep is not among them.
  struct Cost {
    std::int64_t evaluations = 0, vjps = 0, jvps = 0;
  };
  Cost cost;

 private:
  bool due(std::int64_t every) const;
  void report(TrainPort& port);
  /// What a loss is for: to learn by; to find the first value that is not finite; to report, with
  /// all conditions and without dropout.
  enum class Aim { training, search, evaluation };
  /// What is drawn for one batch.
  struct Draws {
    TrainBatch batch;
    at::Tensor told;         ///< [B], of rows whose condition was not dropped; undefined: all
    std::int64_t first = 0;  ///< of its rows in the whole batch
    Draws part(std::int64_t first, std::int64_t rows) const;
  };
  Draws draw(const std::string& stream, std::int64_t n, std::int64_t rows, const TimeLaw& times,
             Aim aim);
  /// The noise of a step's batch for the model's network.
  static std::string step_stream(std::int64_t n);
  /// Whether the data set carries anything from step to step.
  bool data_have_state();
  /// The items of a batch to learn from, or of one to report.
  DataItems items(const std::string& stream, std::int64_t n, std::int64_t rows, Aim aim);
  /// The mean loss of a batch, or of a part of it. `counts`: what it took, where that is asked for.
  at::Tensor loss_of(const Draws& draws, const std::string& stream, std::int64_t n, Aim aim,
                     const OwnNetwork* own = nullptr, Counts* counts = nullptr);
  /// The mean loss that a network learns by, [] of float64; puts its gradient into the arena,
  /// summed over the parts of the batch.
  at::Tensor gradient(Learner& learner, const std::string& stream, std::int64_t n, Aim aim,
                      Counts* counts);
  /// Parts that a batch is cut into: train.accumulate for each process.
  std::int64_t parts() const;
  /// Puts the gradient that a network is updated by, clipped, into its arena, and notes its loss
  /// and norm.
  void learn(Learner& learner, const std::string& stream, std::int64_t n, Counts* counts);
  void update(std::int64_t n);
  /// Does nothing once a loss or a gradient was not finite, so that the weights are still those of
  /// that step when it is found.
  void adam(Learner& learner, double lr) const;
  void cost_of(const Counts& counts);
  /// Waits for the losses and norms that were noted, and sums them. Throws Error at the first that
  /// is not finite.
  void read();
  double learning_rate(std::int64_t n) const;
  [[noreturn]] void diverged(Learner& learner, const std::string& stream, std::int64_t n,
                             double loss, double norm);
  void log(TrainPort& port, std::int64_t n);
  void evaluate(TrainPort& port, std::int64_t n);
  void with_weights(const at::Tensor& weights, const std::function<void()>& body);

  std::shared_ptr<const Model::Parts> model_;
  Model::Context context_;
  std::shared_ptr<DataSet> data_, held_out_;  // held_out_: null where nothing is
  std::shared_ptr<Objective> objective_;
  TrainOptions options_;
  std::uint64_t seed_;
  at::TensorOptions tensors_;
  const std::atomic<bool>& stop_;
  Collective* others_;
  Learner model_learner_;
  std::vector<std::unique_ptr<Learner>> own_;  // the objective's networks
  std::shared_ptr<Network> average_network_;   // null where the objective needs none
  std::optional<Arena> average_;
  std::map<double, at::Tensor> averages_;
  struct Noted {
    Learner* learner;
    std::string stream;
    std::int64_t step;
    at::Tensor loss_and_norm;  // [2], the norm before clipping
  };
  std::vector<Noted> unread_;
  // [] of float64: 0, or NaN once something was; [] of float32: 1 once it was
  at::Tensor poison_, poisoned_;
  double loss_sum_ = 0, norm_sum_ = 0;  // since the last row of `train`
  std::int64_t rows_since_ = 0;
  Losses losses_;
  // the evaluation or preview of `step` is still to make
  bool reports_owed_ = false;
  // of the present step's losses: times, and each sample's own
  std::vector<std::pair<Times, at::Tensor>> seen_;
  bool look_ahead_ = false;  // the next batch's items may be got before its step
  Ahead ahead_;              // last: its thread ends before what it reads goes
};

}  // namespace scorelab
