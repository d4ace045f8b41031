#include "cli/summary.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cli/observations.h"
#include "cli/terminal.h"
#include "compare/table.h"
#include "record/files.h"

namespace scorelab::cli {

std::string stage_text(const Json& d) {
  const std::string kind = d["stage"], time = duration(d["seconds"]);
  if (kind == "train")
    return fmt::format("{} steps, {} parameters, {}", d["steps"].dump(), d["parameters"].dump(),
                       time);
  if (kind == "sample")
    return fmt::format("{} samples, {} network evaluations each, {}", d["count"].dump(),
                       figure(d["nfe"]), time);
  std::string out;
  for (const auto& v : d["values"]) {
    const std::string goal = compare::better(v["goal"]), unit = v["unit"];
    out += fmt::format("{}{} {}{}{}", out.empty() ? "" : "; ", v["name"].get<std::string>(),
                       v["value"].is_number() ? figure(v["value"]) : v["value"].get<std::string>(),
                       unit == "1" ? "" : " " + unit, goal.empty() ? "" : " (" + goal + ")");
  }
  for (const auto& a : d.value("arrays", Json::array()))
    out += fmt::format("{}{}: {} values along {}", out.empty() ? "" : "; ",
                       a["name"].get<std::string>(), a["at"].size(), a["along"].get<std::string>());
  return out;
}

/// What a command needs where the results do not lie in the default's folder.
std::string option_of(const fs::path& results) {
  return results == "results" ? "" : fmt::format(" --results {}", results.string());
}

/// The tables and claims of a comparison.
std::string outcome(const Launched& l) {
  const auto data = observations(l);
  std::vector<compare::Table> tables;
  for (const auto& q : compare::quantities(data, ""))
    tables.push_back(compare::table(data, q, {"", data.comparison.compare.match == "nfe", {}}));
  std::string out = tables_text(data, tables, data.comparison.compare.rows,
                                data.comparison.compare.columns, false, false);
  out += verdicts_text(compare::judge(data), STDOUT_FILENO);
  return out + fmt::format(
                   "next: scorelab compare {0}{2} --detail    scorelab report {0}{2}    results in "
                   "{1}\n",
                   l.name, (l.results / l.name).string(), option_of(l.results));
}

std::string summary(const Launched& l, double seconds) {
  bool whole = true;
  for (const auto& r : l.replicates)
    for (const auto& s : r.stages) whole = whole && !stored_result(l, s).is_null();
  std::string out = fmt::format("{}: {} in {}\n", bold(l.name, STDOUT_FILENO),
                                whole ? "done" : "ended, with failures,", duration(seconds));
  if (!l.question.empty()) out += l.question + "\n";
  if (l.cells.size() > 1 || !l.comparison["claims"].empty()) return out + "\n" + outcome(l);
  for (const auto& r : l.replicates) {
    if (l.replicates.size() > 1) out += fmt::format("{}\n", l.title(r));
    for (const auto& s : r.stages) {
      const Json d = stored_result(l, s);
      if (!d.is_null()) out += fmt::format("  {:<28} {}\n", s.what, stage_text(d));
    }
    const fs::path folder = l.folder(r);
    if (fs::exists(folder / "grid.png"))
      out += fmt::format("  {:<28} the samples as a picture\n", (folder / "grid.png").string());
    out += fmt::format(
        "  {:<28} everything: config, provenance, metrics, samples (h5py, xarray, HDFView)\n",
        (folder / "run.h5").string());
    out += fmt::format("  {:<28} every row and event as JSON lines\n",
                       (folder / "run.jsonl").string());
  }
  out += fmt::format(
      "next: scorelab show {0}{2}    scorelab run {1}{2} -s KEY=VALUE    scorelab list\n", l.name,
      l.manifest_file, option_of(l.results));
  return out;
}

Json summary_json(const Launched& l) {
  Json runs = Json::array();
  for (const auto& r : l.replicates) {
    Json stages = Json::array(), at = Json::object();
    for (const auto& s : r.stages) {
      Json d = stored_result(l, s);
      stages.push_back({{"label", s.label},
                        {"kind", s.kind},
                        {"key", s.key},
                        {"done", !d.is_null()},
                        {"result", d}});
    }
    for (const auto& [axis, label] : l.cells[r.cell].at) at[axis] = label;
    runs.push_back({{"at", at},
                    {"seed", r.sample_seed},
                    {"train_seed", r.train_seed},
                    {"folder", l.folder(r).string()},
                    {"state", state_of(l, r)},
                    {"stages", stages},
                    {"metrics", measured(l, r)}});
  }
  return {{"schema", 1},
          {"name", l.name},
          {"question", l.question},
          {"runs", runs},
          {"provenance", l.provenance}};
}

}  // namespace scorelab::cli
