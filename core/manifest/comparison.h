#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manifest/values.h"

namespace scorelab::manifest {

/// Which replicates of a cell are run: (train, sample) pairs.
struct Seeds {
  std::vector<std::int64_t> train{0}, sample{0};
  /// every sampling of every training; otherwise train and sample are one list
  bool apart = false;
  /// `s3`, `t0s3` where they are apart and there are several trainings.
  std::string name(std::int64_t train_seed, std::int64_t sample_seed) const;
};

/// One value of an axis: its label in tables and claims, and what it changes in the manifest.
struct Point {
  std::string label;
  Position at;
  Node change;
};

/// `[sweep.NAME]`.
struct Axis {
  struct Best {
    std::string metric;
    Position at;
    std::vector<std::int64_t> seeds;
  };
  std::string name, key;  ///< key: empty where the points change several
  Position at;
  std::vector<Point> points;
  std::vector<std::string> only, except;
  std::optional<Best> best;
  bool applies_to(const std::string& variant) const;
};

struct Variant {
  std::string name;
  Position at;
  Node change;
};

/// Where a cell stands: variant and axes in order, each with a label. `variant` is there only where
/// the manifest has variants.
using Coordinates = std::vector<std::pair<std::string, std::string>>;
/// `eta0 S=10`.
std::string text(const Coordinates& at);

struct Cell {
  Coordinates at;
  Node root;  ///< the experiment, merged
};

/// A string of the manifest with the place of its first character.
struct Text {
  std::string text;
  Position at;
};

struct Claim {
  std::string name, says, paper;
  std::string decide = "interval";
  Text holds;
  std::map<std::string, std::vector<std::string>> at;  ///< axis -> labels
  Position place;
};

struct Paper {
  std::string name, cite, beside;
  std::vector<std::string> over;
  Json values;  ///< nested objects and arrays along `over`
  Position at;  ///< of `beside`
};

struct Figure {
  std::string name;
  Json options;
  Position at;
  Node table{};  ///< as the manifest has it, with the places of its keys
};

struct CompareOptions {
  Text baseline;
  std::string primary, match;
  std::vector<std::string> rows, columns, cost;
  Position primary_at{};
  std::vector<Position> cost_at{};
};

/// A manifest as a comparison: variants, axes and seeds, and what is asked of the results. A
/// manifest without them is one cell.
struct Comparison {
  std::string name, question;
  Seeds seeds;
  std::vector<Variant> variants;
  std::vector<Axis> axes;
  std::vector<Claim> claims;
  std::vector<Paper> papers;
  std::vector<Figure> figures;
  CompareOptions compare;

  bool single() const { return variants.empty() && axes.empty(); }
  const Axis* axis(const std::string& name) const;
  /// What tables and claims place cells by: `variant` where there are variants, then the axes; not
  /// those that a search decides.
  std::vector<std::string> places() const;
  /// The labels of an axis, or of `variant`.
  std::vector<std::string> labels(const std::string& axis) const;
};

/// Reads the tables of a comparison from the merged root. Whatever is wrong is reported.
Comparison read_comparison(const Node& root, const std::string& name, Findings& findings);

/// Every cell with its merged experiment: the top level, then the variant, the axes as written, and
/// last `overrides`.
std::vector<Cell> expand(const Comparison& comparison, const Node& root,
                         const std::vector<Node>& overrides, Findings& findings);

/// The tables of one experiment: what variants, points and overrides may change.
extern const std::vector<std::string> experiment_keys;

/// A text that names something: UTF-8 without control characters.
bool is_printable(const std::string& text);
/// Whether a variant or a figure may have this name: it is that of a folder or a file too.
bool plain_name(const std::string& text);

/// Numbers in one form, so that 7, 7.0 and 7e0 are one label; other texts as they are.
std::string canonical_label(const std::string& text);

/// Whole numbers as such, 100000 and not 1e+05; others by their shortest text.
std::string shortest(double value);

/// What an axis calls a value that has no label.
std::string label_of(const Node& value);

/// The node as JSON, for what is recorded as it is.
Json to_json(const Node& node);
/// What results keep of a comparison: names, labels and questions, without what variants and points
/// change.
Json to_json(const Comparison& comparison);
Comparison comparison_of(const Json& json);

}  // namespace scorelab::manifest
