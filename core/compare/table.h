#pragma once
#include "compare/data.h"
#include "compare/statistics.h"

namespace scorelab::compare {

/// What one quantity is in one cell, beside the baseline's.
struct Row {
  std::size_t cell;
  std::vector<double> values;  ///< one a unit
  double mean;
  Interval interval;
  /// the cell it is compared with; nothing where there is none, or it is the baseline
  std::optional<std::size_t> baseline;
  std::vector<double> differences;  ///< paired by unit
  double difference = 0, ratio = 0;
  Interval difference_interval{0, 0};
  SignFlip p{0, true};
  std::optional<double> paper;
  std::vector<std::string> notes;  ///< unequal NFE, few seeds, diverged and missing runs, best of k
};

struct Table {
  Quantity quantity;
  std::vector<Row> rows;
  /// of the whole: what n counts, what no p can be below, what is unmatched
  std::vector<std::string> notes;
};

struct TableOptions {
  /// a place, such as `ddim` or `mse, eps`; empty: the manifest's, or the first variant
  std::string baseline;
  /// compare with the baseline's cell of equal mean NFE (within 1 %), whatever its axes
  bool match_nfe = false;
  Coordinates at;  ///< only these cells
};

/// Throws Error where the baseline is no place of the comparison.
Table table(const Data& data, const Quantity& quantity, const TableOptions& options);

/// The metric that is named, the manifest's primary one, or all.
std::vector<Quantity> quantities(const Data& data, const std::string& name);

/// Long form, one line a cell.
std::string as_text(const Data& data, const Table& table, bool bold);
std::string as_markdown(const Data& data, const Table& table);
/// One line for every cell and quantity, with every unit's value.
std::string as_csv(const Data& data, const std::vector<Table>& tables);
Json as_json(const Data& data, const Table& table);
/// Means with half intervals, rows and columns along axes; `markdown` or aligned text.
std::string pivot(const Data& data, const Table& table, const std::vector<std::string>& rows,
                  const std::vector<std::string>& columns, bool markdown);

/// A field of CSV, in quotes where it needs them.
std::string csv_quoted(const std::string& text);
/// Four digits and without needless zeros.
std::string digits(double value);
/// "lower is better" for the goal "min", "higher is better" for "max", otherwise empty.
std::string better(const std::string& goal);
/// The mean of a cost in a cell; NaN where it has none.
double cost(const Data& data, std::size_t cell, const std::string& name);

}  // namespace scorelab::compare
