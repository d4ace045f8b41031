#pragma once
#include <scorelab/component.h>
#include <scorelab/dataset.h>
#include <scorelab/initial.h>
#include <scorelab/model.h>
#include <scorelab/noise.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace scorelab {

/// One number of a metric, or one array.
struct Measurement {
  std::string name;  ///< empty for the metric's own value; otherwise its part: "mean", "0", ..
  double value;
  std::string unit = "1";
  std::string goal = "min";  ///< min, max or none
  std::string long_name;
  struct Array {
    std::string along;  ///< what the coordinate is: "t"
    std::vector<double> at, values;
  };
  std::optional<Array> array = {};  ///< then `value` says nothing: NaN
};

/// The paths of the first k samples from the start to the last step, in data units: sample.trace.
struct Paths {
  at::Tensor t;  ///< [S + 1, k] float64
  at::Tensor x;  ///< [S + 1, k, ..] float64
};

/// Samples, or draws of the data, in data units, of which few need be in memory at once: they are
/// read, or drawn, as they are asked for. Copies share what they read from. Asking again gives the
/// same.
class Items {
 public:
  /// [count, ..] float64 on the CPU, of the items first .. first + count - 1.
  using Read = std::function<at::Tensor(std::int64_t first, std::int64_t count)>;
  Items() = default;
  Items(at::Tensor all);  // NOLINT: a tensor is a set of items, an undefined one is none
  Items(std::int64_t size, std::vector<std::int64_t> shape, Read read);

  std::int64_t size() const { return size_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }  ///< of one
  at::Tensor rows(std::int64_t first, std::int64_t count) const;
  Items head(std::int64_t count) const;  ///< the first of them
  at::Tensor all() const { return rows(0, size_); }
  /// Does `f` for batch after batch, in order; of no more than 64 MiB each, if that holds an item.
  void in_batches(const std::function<void(const at::Tensor& batch)>& f) const;

 private:
  std::int64_t size_ = 0;
  std::vector<std::int64_t> shape_;
  Read read_;
};

/// Mean and covariance of rows that come in batches, in one pass and without cancellation: each
/// batch about its own mean, then joined (Chan, Golub & LeVeque 1983).
class RunningMoments {
 public:
  void add(const at::Tensor& x);  ///< [n, F] float64
  std::int64_t count() const { return count_; }
  const at::Tensor& mean() const { return mean_; }  ///< [F]
  /// [F, F], over count - 1; throws Error of fewer than two rows
  at::Tensor covariance() const;

 private:
  std::int64_t count_ = 0;
  at::Tensor mean_, scatter_;
};

/// What a metric measures, in data units.
struct Measured {
  /// none for a metric of the model, and where the result is known by its moments
  Items samples;
  /// as many fresh draws of the data as there are samples, or as OnModel's `count` says
  Items reference;
  const Law* law;  ///< that of what the reference is drawn from, or null
  Noise& noise;
  /// with sample.moments = "exact": of the result, in data units, and there are no samples;
  /// otherwise null
  const Moments* moments = nullptr;
  /// for a metric of the model: without guides, in the run's dtype on its device; otherwise null
  Model* model = nullptr;
  const Space* space = nullptr;  ///< between data units and the model's
  Grey grey = {};                ///< of the data
  const Paths* paths = nullptr;  ///< for a metric that needs "trace"
};

/// Where distances are measured: the values themselves, or the features of a classifier in the
/// manifest's [models]. A shared group: `space_.params(p)`.
class FeatureSpace {
 public:
  void params(Params& p);
  void prepare(const Setting& setting) { options_ = setting.options; }
  /// [N, F] float64 of x, [N, ..] in data units.
  at::Tensor operator()(const at::Tensor& x) const;
  /// The same of all items, made batch by batch.
  at::Tensor operator()(const Items& items) const;
  /// F, of items of this shape.
  std::int64_t dimensions(const std::vector<std::int64_t>& shape) const;
  /// Mean and covariance of all items' features.
  RunningMoments moments(const Items& items) const;
  bool learned() const { return static_cast<bool>(features_); }
  std::string unit() const { return learned() ? "1" : "data"; }

 private:
  ModelRef features_{"classifies"};
  at::TensorOptions options_;
};

/// What a metric of the model itself has in its parameters: `on_model_.params(p)`. Such a metric
/// needs no sampler; it is handed the model, which is asked without a condition.
class OnModel {
 public:
  void params(Params& p);

 private:
  double weights_ = 0.999;
  std::int64_t count_ = 1000;
};

/// Measures samples, or with an OnModel the model. With `p.gives("exact-moments")` it also measures
/// a result that is known by its moments alone. Samples may be many: ask for them in batches where
/// that is possible. The parameter `reference` is core's own, of every metric.
class Metric : public Component {
 public:
  static constexpr const char* kind = "metric";
  ~Metric() override;
  /// Called once, without gradients. What it is handed lives until it returns.
  virtual std::vector<Measurement> measure(const Measured& measured) const = 0;
  /// Fewer samples than this, of items of `shape`, say little: `check` warns.
  virtual std::int64_t needs_samples(const std::vector<std::int64_t>& shape) const;
};

}  // namespace scorelab
