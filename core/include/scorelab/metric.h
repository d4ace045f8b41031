#pragma once
#include <scorelab/component.h>
#include <scorelab/dataset.h>
#include <scorelab/initial.h>
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

/// What a metric measures, in data units.
struct Measured {
  at::Tensor samples;    ///< [N, ..] float64; undefined for a metric of the model
  at::Tensor reference;  ///< [N, ..] float64: as many fresh draws of the data as there are samples, or as OnModel's `count` says
  const Law* law;        ///< the data's law, or null
  Noise& noise;
  const Moments* moments =
      nullptr;             ///< with sample.moments = "exact": of the result, in data units, and there are no samples; otherwise null
  Model* model = nullptr;  ///< for a metric of the model: without guides, in the run's dtype on its device; otherwise null
  Affine to_model = {};    ///< from data units to the model's
  Grey grey = {};          ///< of the data
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
};

}  // namespace scorelab
