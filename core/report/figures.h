#pragma once
#include <functional>

#include "compare/data.h"
#include "record/hdf5.h"
#include "record/samples.h"
#include "report/plot.h"

namespace scorelab::report {

using compare::Coordinates;
using compare::Data;
using manifest::Figure;
using schema::Json;

/// A curve over steps: one column of a stream.
struct Curve {
  std::vector<double> step, value;
};

/// What a metric measured along a coordinate.
struct Measured {
  std::string along, unit;
  std::vector<double> at, values;
};

struct Field {
  double t = 0;
  std::vector<std::pair<double, double>> model, exact;
};

/// Where figures find what a comparison does not hold. Each is of one observation; nothing where
/// there is none.
struct Sources {
  std::function<std::optional<record::Array>(std::size_t observation)> samples;
  /// as many draws of its data set
  std::function<std::optional<record::Array>(std::size_t observation)> data;
  /// The score of its model at these points, and the exact one (empty where it is not known); `t`
  /// 0: the host's choice, which comes back.
  std::function<std::optional<Field>(std::size_t observation, double t,
                                     const std::vector<std::pair<double, double>>& points)>
      field;
  std::function<std::optional<record::Trace>(std::size_t observation)> trace;
  /// `train.loss`
  std::function<std::optional<Curve>(std::size_t observation, const std::string& column)> curve;
  /// `vlb.terms`
  std::function<std::optional<Measured>(std::size_t observation, const std::string& name)> array;
  /// Paths of its model's probability-flow ODE in the data's own exact score, from the starts of
  /// its trace.
  std::function<std::optional<record::Trace>(std::size_t observation, std::int64_t count)>
      exact_trace;
};

/// A figure drawn: what its files are called, and what it says.
struct Drawn {
  std::string name, title;
  bool raster = false;  ///< many points: shown as PNG
  /// in which it is drawn, in pixels; 0: as wide as there is room
  int width = 0;
  /// of a grid: title and file, in place of NAME.svg
  std::vector<std::pair<std::string, std::string>> images;
};

/// Draws a figure into a folder. Throws Error where there is nothing to draw.
Drawn draw(const Data& data, const Figure& figure, const Sources& sources,
           const std::filesystem::path& folder);

/// The figures that a comparison has where the manifest names none.
std::vector<Figure> default_figures(const Data& data, bool has_samples);

}  // namespace scorelab::report
