// A claim's formula and a place, against a comparison with variants and axes of numbers and words;
// what is read is evaluated everywhere.
#include "compare/formula.h"

#include "target.h"

using namespace scorelab;

namespace {

compare::Comparison comparison() {
  compare::Comparison c;
  for (const auto* name : {"eta0", "eta1", "pc"}) c.variants.push_back({name, {}, {}});
  const std::vector<std::pair<std::string, std::vector<std::string>>> axes{
      {"S", {"10", "20", "40"}},
      {"data", {"swiss-roll", "moons"}},
      {"tol", {"0.001", "1e-08", "1e-310"}}};
  for (const auto& [name, labels] : axes) {
    manifest::Axis axis;
    axis.name = name;
    for (const auto& label : labels) axis.points.push_back({label, {}, {}});
    c.axes.push_back(axis);
  }
  return c;
}

std::vector<compare::Coordinates> cells(const compare::Comparison& c) {
  std::vector<compare::Coordinates> out{{}};
  for (const auto& axis : c.places()) {
    std::vector<compare::Coordinates> more;
    for (const auto& cell : out)
      for (const auto& label : c.labels(axis)) {
        more.push_back(cell);
        more.back().emplace_back(axis, label);
      }
    out = std::move(more);
  }
  return out;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto c = comparison();
  static const auto everywhere = cells(c);
  static const compare::Names names{&c, {"mmd", "sliced-wasserstein", "weights"}};
  const std::string text = fuzz::text(data, size);
  fuzz::allow_refusal([&] {
    compare::FormulaError error;
    compare::parse_place(text, c, error);
    const auto formula = compare::parse(text, names, error);
    if (!formula) return;
    formula->free_axes(everywhere);
    const compare::Lookup lookup = [](const std::string& quantity,
                                      const compare::Coordinates& at) -> std::optional<double> {
      return quantity == "weights" ? std::nullopt
                                   : std::optional(0.5 + static_cast<double>(at.size()));
    };
    for (const auto& cell : {everywhere.front(), everywhere.back()})
      for (const auto& side : formula->sides) compare::value(side, cell, c, lookup);
  });
  return 0;
}
