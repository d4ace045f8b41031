#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manifest/comparison.h"

namespace scorelab::compare {

using manifest::Comparison;
using manifest::Coordinates;
using schema::Json;

/// A metric or a cost: what tables, claims and figures speak of.
struct Quantity {
  std::string name, unit = "1", goal = "none", long_name;
};

/// One replicate of a cell and what it measured.
struct Observation {
  std::size_t cell;
  std::int64_t train_seed, sample_seed;
  std::string state;                     ///< done, failed, running or stopped
  std::string failure;                   ///< what failed, in its words
  std::map<std::string, double> values;  ///< by quantity; NaN where a metric said so
};

/// Everything that was measured in a comparison.
struct Data {
  Comparison comparison;
  std::vector<Coordinates> cells;
  std::vector<Json> chosen;  ///< of each cell, what a search chose, or null
  std::vector<Observation> observations;
  std::vector<Quantity> metrics, costs;
  bool trained = false;  ///< a network was trained

  /// The cell at these coordinates; places of axes that a cell does not have are ignored.
  std::optional<std::size_t> find(const Coordinates& at) const;
  const Quantity* quantity(const std::string& name) const;
  /// One number a unit of replication, by unit: a seed; or, where every training is sampled more
  /// than once, a training, with the mean of its samplings. Only units that have the quantity.
  std::map<std::int64_t, double> units(std::size_t cell, const std::string& quantity) const;
  std::size_t units_planned() const;
  /// Whether a unit is a training; otherwise it is a sampling.
  bool by_training() const;
  /// `trainings`, or `samplings of one training`, or `samplings`.
  std::string units_are() const;
};

/// The label of an axis in these coordinates, or nothing.
std::optional<std::string> label_at(const Coordinates& at, const std::string& axis);

/// The paper's number at a place; nothing where it has none.
std::optional<double> paper_value(const manifest::Paper& paper, const Comparison& comparison,
                                  const Coordinates& at);

/// The costs that every comparison knows.
const std::vector<Quantity>& known_costs();

}  // namespace scorelab::compare
