#pragma once
#include <scorelab/dataset.h>
#include <scorelab/objective.h>

#include <atomic>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "model/model_state.h"
#include "params/tables.h"
#include "train/arena.h"

namespace scorelab {

/// What a training writes through: it knows neither files nor formats.
class TrainPort {
 public:
  virtual ~TrainPort();
  using Values = std::vector<std::pair<std::string, double>>;
  virtual void row(const std::string& stream, std::int64_t step, const Values& values) = 0;
  virtual void progress(std::int64_t step, double loss) = 0;
  virtual void checkpoint() = 0;
  /// With these weights in the network: draw a few samples.
  virtual void preview(std::int64_t step) = 0;
};

/// One training: everything that a checkpoint holds, and the loop.
class Trainer {
 public:
  /// `ema`: the rates of the averages to keep.
  Trainer(std::shared_ptr<Model::State> model, std::shared_ptr<DataSet> data, std::shared_ptr<Objective> objective, TrainOptions options,
          std::vector<double> ema, std::uint64_t seed, at::TensorOptions tensors, const std::atomic<bool>& stop);

  /// From the present step to the last; checkpoints on the way, when asked to stop (then throws Stopped) and at the end.
  void run(TrainPort& port);
  std::set<std::int64_t> keep;  ///< steps at which there is a checkpoint beside the usual ones
  /// Seconds of `steps` updates on copies of the state, which stays as it is; for choosing a number of threads.
  double rehearse(std::int64_t steps);

  // The state: exchanged with checkpoints by name.
  std::int64_t step = 0;
  Arena arena;
  at::Tensor moment1, moment2;
  std::map<double, at::Tensor> averages;
  double loss_sum = 0, norm_sum = 0;  ///< since the last row of `train`
  std::int64_t rows_since = 0;
  /// What a training says of its losses when it has ended.
  struct Losses {
    double first = std::numeric_limits<double>::quiet_NaN();  ///< before the first update
    double sum = 0, squares = 0;                              ///< over the last tenth of the steps
    std::int64_t count = 0;
    double mean() const { return sum / static_cast<double>(count); }
    double spread() const;  ///< standard deviation
  };
  Losses losses;
  /// Of the last update, rows counted one by one; the gradient's own sweep is not among them.
  struct Cost {
    std::int64_t evaluations = 0, vjps = 0, jvps = 0;
  };
  Cost cost;
  at::Tensor& loss_history() { return objective_->times.history; }  ///< undefined where times are not drawn by it
  bool reports_owed = false;                                        ///< the evaluation or preview of `step` is still to make

 private:
  bool due(std::int64_t every) const;
  void report(TrainPort& port);
  at::Tensor loss_of(Noise& noise, std::int64_t rows, bool check);
  void update(std::int64_t n);
  void adam(double lr, std::int64_t n);
  double learning_rate(std::int64_t n) const;
  [[noreturn]] void diverged(std::int64_t n, double loss, double norm);
  void log(TrainPort& port, std::int64_t n);
  void evaluate(TrainPort& port, std::int64_t n);
  void with_weights(const at::Tensor& weights, const std::function<void()>& body);

  std::shared_ptr<Model::State> model_;
  std::shared_ptr<DataSet> data_;
  std::shared_ptr<Objective> objective_;
  TrainOptions options_;
  std::uint64_t seed_;
  at::TensorOptions tensors_;
  const std::atomic<bool>& stop_;
  std::pair<Times, at::Tensor> seen_;  // of the last loss: times, and each sample's own
};

}  // namespace scorelab
