#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Drawings by gnuplot, as SVG, PNG and PDF.
namespace scorelab::report {

/// A line, a cloud of points, a path or a field of arrows. low and high, where given, are a band or
/// error bars around y; of arrows, their components.
struct Series {
  std::string name;
  std::vector<double> x, y, low, high;
};

/// Counts on a grid of cells, row by row from the lowest y.
struct Heat {
  std::size_t columns = 0;
  std::vector<double> values;
  double x_low = 0, x_high = 1, y_low = 0, y_high = 1;
};

struct Panel {
  std::string title;
  std::vector<Series> series;
  std::optional<Heat> heat;
};

struct Plot {
  enum class Kind { lines, points, bars, paths, heat, arrows };
  Kind kind = Kind::lines;
  std::string name, title, x_label, y_label;
  bool log_x = false, log_y = false;
  std::vector<std::string> categories;  ///< of bars: along x
  std::optional<std::pair<double, double>> x_range, y_range;
  std::vector<Panel> panels;
};

/// Writes NAME.svg, NAME.png and NAME.pdf; returns the width in pixels. Throws Error where gnuplot
/// is missing or refuses.
int draw(const Plot& plot, const std::filesystem::path& folder);

}  // namespace scorelab::report
