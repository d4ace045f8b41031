#pragma once
#include <scorelab/component.h>
#include <scorelab/dataset.h>
#include <scorelab/initial.h>
#include <scorelab/model.h>
#include <scorelab/noise.h>

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

/// What a metric measures, in data units.
struct Measured {
  at::Tensor samples;    ///< [N, ..] float64; undefined for a metric of the model
  at::Tensor reference;  ///< [N, ..] float64: as many fresh draws of the data as there are samples, or as OnModel's `count` says
  const Law* law;        ///< the data's law, or null
  Noise& noise;
  const Moments* moments =
      nullptr;                   ///< with sample.moments = "exact": of the result, in data units, and there are no samples; otherwise null
  Model* model = nullptr;        ///< for a metric of the model: without guides, in the run's dtype on its device; otherwise null
  const Space* space = nullptr;  ///< between data units and the model's
  Grey grey = {};                ///< of the data
  const Paths* paths = nullptr;  ///< for a metric that needs "trace"
};

/// Where distances are measured: the values themselves, or the features of a classifier that the manifest trains. A shared group:
/// `space_.params(p)`.
class FeatureSpace {
 public:
  void params(Params& p);
  void prepare(const Setting& setting) { options_ = setting.options; }
  /// [N, F] float64 of x, [N, ..] in data units.
  at::Tensor operator()(const at::Tensor& x) const;
  bool learned() const { return static_cast<bool>(features_); }
  std::string unit() const { return learned() ? "1" : "data"; }

 private:
  ModelRef features_{"classifies"};
  at::TensorOptions options_;
};

/// What a metric of the model itself has in its parameters: `on_model_.params(p)`. Such a metric needs no sampler; it is handed the model,
/// which is asked without labels.
class OnModel {
 public:
  void params(Params& p);

 private:
  double weights_ = 0.999;
  std::int64_t count_ = 1000;
};

/// With `p.gives("exact-moments")` it also measures a result that is known by its moments alone.
class Metric : public Component {
 public:
  static constexpr const char* kind = "metric";
  ~Metric() override;
  virtual std::vector<Measurement> measure(const Measured& measured) const = 0;
  /// Fewer samples than this, of items of `shape`, say little: `check` warns.
  virtual std::int64_t needs_samples(const std::vector<std::int64_t>& shape) const;
};

}  // namespace scorelab
