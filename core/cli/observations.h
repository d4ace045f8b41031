#pragma once
#include <string>
#include <vector>

#include "cli/results.h"
#include "compare/table.h"
#include "compare/verdict.h"

namespace scorelab::cli {

/// What the stages of an experiment have measured so far.
compare::Data observations(const Launched& launched);

/// The experiment that an argument means: its name, or that of the manifest at this path. Throws
/// CLI errors of the usage kind.
std::string experiment_name(const std::string& argument, const fs::path& results);

/// Claims with their instances, as text.
std::string verdicts_text(const std::vector<compare::Verdict>& verdicts, int fd);

/// Tables as a manifest asks for them: pivoted where there are columns, and a line for each cell
/// where there are none or `detail`.
std::string tables_text(const compare::Data& data, const std::vector<compare::Table>& tables,
                        const std::vector<std::string>& rows,
                        const std::vector<std::string>& columns, bool md, bool detail);

/// The notes of a table with those of its rows, each with its cell.
std::vector<std::string> warnings(const compare::Data& data, const compare::Table& table);

/// Every run of an experiment: {"experiment", "run", "seed", "state", "at", "metrics", "costs",
/// "config", ..}. `config`: every value by its dotted name, `train.lr`.
Json runs_of(const Launched& launched);
/// The same object with what "at", "metrics", "costs" and "config" hold as keys of its own; of two
/// with one name the first counts, in this order.
Json flat(const Json& run);

}  // namespace scorelab::cli
