#pragma once
#include <scorelab/component.h>
#include <scorelab/initial.h>
#include <scorelab/law.h>
#include <scorelab/noise.h>

#include <functional>
#include <string>
#include <vector>

namespace scorelab {

/// One number of a metric.
struct Measurement {
  std::string name;  ///< empty for the metric's own value; otherwise its part: "mean", "0", ..
  double value;
  std::string unit = "1";
  std::string goal = "min";  ///< min, max or none
  std::string long_name;
};

/// What a metric measures, in data units.
struct Measured {
  at::Tensor samples;    ///< [N, ..] float64
  at::Tensor reference;  ///< [N, ..] float64, as many fresh draws of the data as it asked for
  const Law* law;        ///< the data's law, or null
  Noise& noise;
  const Moments* moments =
      nullptr;  ///< with sample.moments = "exact": of the result, in data units, and there are no samples; otherwise null
};

/// With `p.gives("exact-moments")` it also measures a result that is known by its moments alone.
class Metric : public Component {
 public:
  static constexpr const char* kind = "metric";
  ~Metric() override;
  virtual std::vector<Measurement> measure(const Measured& measured) const = 0;
};

}  // namespace scorelab
