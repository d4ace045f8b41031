#pragma once
#include "compare/table.h"
#include "compare/verdict.h"
#include "record/files.h"
#include "report/figures.h"

namespace scorelab::report {

/// What a report says beside tables and figures.
struct Report {
  const Data* data;
  std::vector<compare::Table> tables;
  std::vector<compare::Verdict> verdicts;
  std::vector<Drawn> figures;
  std::vector<std::pair<std::string, std::string>> not_drawn;  ///< a figure and why
  std::vector<std::string> warnings;                           ///< what works and may still mislead
  std::filesystem::path folder;                                ///< where the figures lie
  std::string manifest, manifest_file;
  std::vector<Json> resolved;  ///< of each cell
  Json provenance;
  double seconds = 0;  ///< of all stages together
  std::string state;   ///< done, or what is missing
};

/// One HTML file that needs nothing else: figures inline, no script, no request.
std::string page(const Report& report);

/// The comparison's numbers as HDF5: a group a quantity with values [cell, unit], mean, low, high
/// and the cells' labels.
void write_tables(const std::filesystem::path& file, const Data& data);

}  // namespace scorelab::report
