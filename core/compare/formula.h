#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compare/data.h"

namespace scorelab::compare {

/// A formula of a claim, read: `mmd[pc, S=10] < 0.9 * min(mmd[em], mmd[ode])`.
///
///     chain    = sum { (< | <= | > | >= | =) sum }
///     sum      = product { (+ | -) product }
///     product  = factor { (* | /) factor }
///     factor   = - factor | number | name ( sum {, sum} ) | axis | ( sum )
///              | quantity [ "[" place {, place} "]" ]
///     place    = label | axis = label
///
/// Functions: abs, sqrt, log, exp of one; min, max, mean, median, geomean of several, or of one
/// over an axis: `geomean(mmd[pc], data)`; slope(y, axis) of log y against log of the axis's
/// values.
struct Formula {
  enum class Kind { number, quantity, axis, call, binary, negate };
  struct Node {
    Kind kind;
    double number = 0;
    std::string name;    // of the quantity, axis or function; the operator
    Coordinates places;  // of a quantity
    std::string over;    // the axis that a call reduces
    std::vector<Node> inner;
    int column = 0;  // in the text
  };
  std::vector<Node> sides;
  std::vector<std::string> relations;  ///< between them

  /// Axes (and `variant`) whose label must come from outside, at each of these cells.
  std::set<std::string> free_axes(const std::vector<Coordinates>& cells) const;
};

/// What is wrong with a formula, and where: `column` counts from 0 in its text.
struct FormulaError {
  std::string message, hint;
  int column = 0, length = 1;
};

/// What names in formulas may mean.
struct Names {
  const Comparison* comparison;
  /// labels; `label.part` is allowed too, as parts are known only once measured
  std::vector<std::string> metrics;
  /// The names near one that is not known.
  std::vector<std::string> all() const;
  bool knows(const std::string& quantity) const;
};

std::optional<Formula> parse(const std::string& text, const Names& names, FormulaError& error);
/// A place alone, as a baseline is: `mse, eps` or `exact, tol=1e-8`.
std::optional<Coordinates> parse_place(const std::string& text, const Comparison& comparison,
                                       FormulaError& error);

/// The value of a quantity at some coordinates; NaN is a value, nothing is none.
using Lookup =
    std::function<std::optional<double>(const std::string& quantity, const Coordinates& at)>;
/// A side's value where the free axes have these labels.
std::optional<double> value(const Formula::Node& node, const Coordinates& at,
                            const Comparison& comparison, const Lookup& lookup);

}  // namespace scorelab::compare
