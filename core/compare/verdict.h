#pragma once
#include "compare/formula.h"
#include "compare/statistics.h"

namespace scorelab::compare {

enum class Outcome { pass, fail, undecided };
std::string word(Outcome outcome);

/// A claim at one place of the axes that its formula leaves open.
struct Instance {
  Coordinates at;
  Outcome outcome = Outcome::undecided;
  /// the mean of each side over the units; with decide = "median", the median
  std::vector<double> sides;
  /// by how much the tightest relation holds, one a unit; negative: it does not
  std::vector<double> margins;
  double margin = 0;        ///< mean or median of these, as the claim decides
  Interval interval{0, 0};  ///< 95 % of the tightest relation's margin
  /// of what is undecided or failed: what is missing, or which relation
  std::string why;
  /// the paper's own figures put into the formula, and whether they hold
  std::string paper;
};

struct Verdict {
  const manifest::Claim* claim;
  Outcome outcome = Outcome::undecided;
  std::vector<Instance> instances;
  std::size_t n = 0;                        ///< units
  std::vector<std::string> relations = {};  ///< of the formula, between an instance's sides
};

/// The instance that says most: one that fails, else the one whose margin is tightest for its size;
/// null where there is none.
const Instance* most_telling(const Verdict& verdict);
/// An instance's sides with the relations between them: "0.1 < 0.2 < 0.3".
std::string numbers(const Verdict& verdict, const Instance& instance);

/// Each relation is decided by the difference of its sides, unit by unit: `interval`: its 95 %
/// interval is on one side of 0; `median`, `value` (the mean): their sign; `every-seed`: the sign
/// of all. `=` holds within a relative 1e-9. A claim passes where every instance does, and fails
/// where one does.
std::vector<Verdict> judge(const Data& data);

/// Problems of a comparison's formulas and labels, found before anything runs. `metrics`: the
/// labels that each cell has.
void check_claims(const Comparison& comparison, const std::vector<Coordinates>& cells,
                  const std::vector<std::string>& metrics, manifest::Findings& findings);

Json to_json(const Verdict& verdict);

}  // namespace scorelab::compare
