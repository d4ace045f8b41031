#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"
#include "cli/observations.h"
#include "cli/results.h"
#include "cli/terminal.h"
#include "cli/where.h"

namespace scorelab::cli {

Json runs_of(const Launched& l) {
  const auto data = observations(l);
  Json out = Json::array();
  for (std::size_t i = 0; i < l.replicates.size(); ++i) {
    const auto& r = l.replicates[i];
    Json run{{"experiment", l.name},
             {"run", l.title(r)},
             {"seed", r.sample_seed},
             {"train_seed", r.train_seed},
             {"state", data.observations[i].state},
             {"launched", l.provenance["launched"]},
             {"folder", l.folder(r).string()}};
    for (const auto& [axis, label] : l.cells[r.cell].at) run["at"][axis] = label;
    for (const auto& m : measured(l, r)) run["metrics"][m["name"].get<std::string>()] = m["value"];
    for (const auto& q : compare::known_costs())
      if (const auto v = data.observations[i].values.find(q.name); v != data.observations[i].values.end()) run["costs"][q.name] = v->second;
    out.push_back(std::move(run));
  }
  return out;
}

Json flat(const Json& run) {
  Json out = Json::object();
  for (const auto& [name, value] : run.items()) {
    if (value.is_object())
      for (const auto& [inner, v] : value.items()) out[inner] = v;
    else
      out[name] = value;
  }
  return out;
}

void add_ls(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("ls", "the runs in the results folder, their state and metrics");
  auto name = std::make_shared<std::string>(), results = std::make_shared<std::string>("results"), where = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  verb->add_option("experiment", *name, "only this one's runs");
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_option("--where", *where,
                   "only runs of which this holds, such as 'mmd < 0.01 and variant = pc'; axes, metrics, costs, seed, state");
  verb->add_flag("--json", *json, "as JSON");
  verb->callback([=, &code] {
    std::optional<Where> condition;
    if (!where->empty()) try {
        condition.emplace(*where);
      } catch (const Error& e) {
        throw CLI::ValidationError(e.what());
      }
    const auto names = name->empty() ? experiments(*results) : std::vector<std::string>{experiment_name(*name, *results)};
    Json list = Json::array();
    std::vector<std::string> earlier;
    for (const auto& one : names) {
      try {
        for (auto& run : runs_of(load_launched(*results, one)))
          if (!condition || condition->holds(flat(run))) list.push_back(std::move(run));
      } catch (const std::exception& e) {
        earlier.push_back(e.what());
      }
    }
    for (const auto& text : earlier) std::cerr << fmt::format("left out: {}\n", text);
    code = list.empty() ? empty : done;
    if (*json) return std::cout << Json{{"schema", 1}, {"runs", list}}.dump(1) << "\n", void();
    if (list.empty() && condition) return std::cerr << fmt::format("no run in {} fulfils it\n", *results), void();
    if (list.empty()) return std::cerr << fmt::format("no experiments in {}; scorelab run MANIFEST makes one\n", *results), void();
    std::size_t width = 3;
    for (const auto& r : list) width = std::max(width, r["run"].get<std::string>().size());
    std::cout << fmt::format("{:<20} {:<{}}  {:<8} {:<20}  metrics\n", "experiment", "run", width, "state", "launched");
    for (const auto& r : list) {
      std::string metrics;
      if (r.contains("metrics"))
        for (const auto& [metric, v] : r["metrics"].items())
          metrics += fmt::format("{} {}  ", metric, v.is_number() ? figure(v) : v.get<std::string>());
      std::cout << fmt::format("{:<20} {:<{}}  {:<8} {:<20}  {}\n", r["experiment"].get<std::string>(), r["run"].get<std::string>(), width,
                               r["state"].get<std::string>(), r["launched"].get<std::string>(), metrics);
    }
  });
}

void add_export(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("export", "every run of an experiment with its place, metrics and costs, as CSV or JSON on stdout");
  auto name = std::make_shared<std::string>(), results = std::make_shared<std::string>("results");
  auto json = std::make_shared<bool>(false), csv = std::make_shared<bool>(false);
  verb->add_option("experiment", *name, "its name, or its manifest")->required();
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  auto* as_csv = verb->add_flag("--csv", *csv, "CSV (what it is without a flag)");
  verb->add_flag("--json", *json, "JSON")->excludes(as_csv);
  verb->callback([=, &code] {
    const Json runs = runs_of(load_launched(*results, experiment_name(*name, *results)));
    code = done;
    if (*json) return std::cout << Json{{"schema", 1}, {"runs", runs}}.dump(1) << "\n", void();
    std::vector<std::string> columns;
    for (const auto& r : runs) {
      const Json line = flat(r);  // items() refers to it
      for (const auto& [key, value] : line.items())
        if (std::find(columns.begin(), columns.end(), key) == columns.end()) columns.push_back(key);
    }
    for (std::size_t i = 0; i < columns.size(); ++i) std::cout << (i ? "," : "") << compare::csv_quoted(columns[i]);
    std::cout << "\n";
    for (const auto& r : runs) {
      const Json line = flat(r);
      for (std::size_t i = 0; i < columns.size(); ++i) {
        const Json v = line.value(columns[i], Json(""));
        std::cout << (i ? "," : "") << compare::csv_quoted(v.is_string() ? v.get<std::string>() : v.dump());
      }
      std::cout << "\n";
    }
  });
}

}  // namespace scorelab::cli
