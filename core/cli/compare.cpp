#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "cli/command.h"
#include "cli/observations.h"
#include "cli/terminal.h"
#include "compare/table.h"
#include "compare/verdict.h"

namespace scorelab::cli {

std::string verdicts_text(const std::vector<compare::Verdict>& verdicts, int fd) {
  std::string out;
  for (const auto& v : verdicts) {
    const std::string outcome = compare::word(v.outcome);
    out += fmt::format(
        "claim {:<12} {:<9} {}\n", v.claim->name,
        v.outcome == compare::Outcome::fail ? red(outcome, fd) : outcome,
        v.claim->says.empty() ? v.claim->holds.text : v.claim->says + ": " + v.claim->holds.text);
    // Of many places that all pass, the one that passes most narrowly.
    const bool one = v.outcome == compare::Outcome::pass && v.instances.size() > 1 &&
                     std::all_of(v.instances.begin(), v.instances.end(),
                                 [](const auto& i) { return i.paper.empty(); });
    for (const auto& i : v.instances) {
      if (one && &i != compare::most_telling(v)) continue;
      out += fmt::format(
          "  {:<10} {}{}{}{}{}\n", compare::word(i.outcome),
          i.at.empty() ? "" : manifest::text(i.at) + ": ", compare::numbers(v, i),
          i.why.empty() ? "" : "; " + i.why, i.paper.empty() ? "" : "; the paper: " + i.paper,
          one ? fmt::format("; the narrowest of {} places", v.instances.size()) : "");
    }
  }
  return out;
}

std::string tables_text(const compare::Data& data, const std::vector<compare::Table>& tables,
                        const std::vector<std::string>& rows,
                        const std::vector<std::string>& columns, bool md, bool detail) {
  std::string out;
  for (const auto& t : tables) {
    if (!columns.empty()) out += compare::pivot(data, t, rows, columns, md) + "\n";
    if (columns.empty() || detail)
      out +=
          (md ? compare::as_markdown(data, t) : compare::as_text(data, t, colours(STDOUT_FILENO))) +
          "\n";
    else
      for (const auto& line : warnings(data, t)) out += (md ? "- " : "  ") + line + "\n";
  }
  return out;
}

namespace {

struct Arguments {
  std::string name, results = "results", metric, baseline, match;
  std::vector<std::string> by, at;
  bool md = false, csv = false, json = false, detail = false;
};

Coordinates places(const Arguments& a, const manifest::Comparison& c) {
  Coordinates out;
  for (const auto& text : a.at) {
    compare::FormulaError error;
    const auto place = compare::parse_place(text, c, error);
    if (!place)
      throw CLI::ValidationError("--at", fmt::format("{}; {}", error.message, error.hint));
    out.insert(out.end(), place->begin(), place->end());
  }
  return out;
}

std::vector<std::string> axis_names(const manifest::Comparison& c) {
  std::vector<std::string> out;
  if (!c.variants.empty()) out.emplace_back("variant");
  for (const auto& axis : c.axes) out.push_back(axis.name);
  return out;
}

int run(const Arguments& a) {
  const std::string name = experiment_name(a.name, a.results);
  const compare::Data data = observations(load_launched(a.results, name));
  const auto& asked = data.comparison.compare;
  compare::TableOptions options;
  options.baseline = a.baseline;
  options.match_nfe = (a.match.empty() ? asked.match : a.match) == "nfe";
  options.at = places(a, data.comparison);
  std::vector<compare::Table> tables;
  try {
    for (const auto& q : compare::quantities(data, a.metric))
      tables.push_back(compare::table(data, q, options));
  } catch (const Error& e) {  // a metric or baseline that is not there
    throw CLI::ValidationError(e.what());
  }
  const auto verdicts = compare::judge(data);
  if (a.json) {
    Json all = Json::array(), claims = Json::array();
    for (const auto& t : tables) all.push_back(compare::as_json(data, t));
    for (const auto& v : verdicts) claims.push_back(compare::to_json(v));
    std::cout << Json{{"schema", 1},
                      {"name", name},
                      {"n_counts", data.units_are()},
                      {"tables", all},
                      {"claims", claims}}
                     .dump(1)
              << "\n";
    return done;
  }
  if (a.csv) {
    std::cout << compare::as_csv(data, tables);
    return done;
  }
  const auto columns = a.by.empty() ? asked.columns : a.by;
  for (const auto& axis : columns)
    if (axis != "variant" && !data.comparison.axis(axis))
      throw CLI::ValidationError("--by", fmt::format("there is no axis `{}`; axes: {}", axis,
                                                     fmt::join(axis_names(data.comparison), ", ")));
  if (!data.comparison.question.empty()) std::cout << data.comparison.question << "\n\n";
  std::cout << tables_text(data, tables, a.by.empty() ? asked.rows : std::vector<std::string>{},
                           columns, a.md, a.detail);
  std::cout << verdicts_text(verdicts, STDOUT_FILENO);
  if (!columns.empty() && !a.detail)
    std::cout << "intervals, differences and p of each cell: --detail\n";
  return done;
}

}  // namespace

void add_compare(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand(
      "compare", "a comparison's table: means, intervals, paired differences, costs, claims");
  auto a = std::make_shared<Arguments>();
  verb->add_option("experiment", a->name, "its name, or its manifest")->required();
  verb->add_option("--results", a->results, "the folder for results")->capture_default_str();
  verb->add_option("--metric", a->metric,
                   "one metric or cost; otherwise the manifest's primary one, or all metrics");
  verb->add_option("--baseline", a->baseline,
                   "what differences are taken from, such as \"ddim\" or \"mse, eps\"");
  verb->add_option("--match", a->match,
                   "nfe: compare with the baseline's cell of equal network evaluations")
      ->check(CLI::IsMember({"nfe"}));
  verb->add_option("--by", a->by, "axes along the columns")->delimiter(',');
  verb->add_option("--at", a->at, "only some cells, such as S=100")->allow_extra_args(false);
  verb->add_flag("--detail", a->detail, "a line for each cell, also where there are columns");
  verb->add_flag("--md", a->md, "Markdown");
  verb->add_flag("--csv", a->csv, "CSV with every number");
  verb->add_flag("--json", a->json, "JSON with every number");
  verb->callback([=, &code] { code = run(*a); });
}

}  // namespace scorelab::cli
