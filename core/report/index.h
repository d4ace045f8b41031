#pragma once
#include "compare/verdict.h"

namespace scorelab::report {

/// What an index says of one experiment.
struct Entry {
  std::string name, question, state;
  std::vector<std::string> cites;  ///< of the papers whose numbers it has
  std::string page;                ///< its report, relative to the index
  std::filesystem::path figure;    ///< SVG or PNG; empty: none was drawn
  double seconds = 0;              ///< of all stages together
  std::vector<compare::Verdict> verdicts;
};

/// Every experiment with its claims: verdict, our numbers, the paper's, a figure. One HTML file;
/// the reports lie beside it.
std::string index_page(const std::vector<Entry>& entries);
/// The same as a table in Markdown, without figures.
std::string index_markdown(const std::vector<Entry>& entries);

}  // namespace scorelab::report
