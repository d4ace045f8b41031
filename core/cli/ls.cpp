#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"
#include "cli/observations.h"
#include "cli/results.h"
#include "cli/terminal.h"
#include "cli/where.h"

namespace scorelab::cli {
namespace {

/// A line for each run.
void print(const Json& list) {
  std::size_t width = 3;
  for (const auto& r : list) width = std::max(width, r["run"].get<std::string>().size());
  std::cout << fmt::format("{:<20} {:<{}}  {:<8} {:<20}  metrics\n", "experiment", "run", width,
                           "state", "launched");
  for (const auto& r : list) {
    std::string metrics;
    if (r.contains("metrics"))
      for (const auto& [metric, v] : r["metrics"].items())
        metrics += fmt::format("{} {}  ", metric, v.is_number() ? figure(v) : v.get<std::string>());
    std::cout << fmt::format("{:<20} {:<{}}  {:<8} {:<20}  {}\n",
                             r["experiment"].get<std::string>(), r["run"].get<std::string>(), width,
                             r["state"].get<std::string>(), r["launched"].get<std::string>(),
                             metrics);
  }
}

}  // namespace

void add_ls(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("ls", "the runs in the results folder, their state and metrics");
  auto name = std::make_shared<std::string>(), results = std::make_shared<std::string>("results"),
       where = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  verb->add_option("experiment", *name, "only this one's runs");
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_option("--where", *where,
                   "only runs of which this holds, such as 'mmd < 0.01 and variant = pc'; axes, "
                   "metrics, costs, seed, state, and settings such as train.lr");
  verb->add_flag("--json", *json, "as JSON");
  verb->callback([=, &code] {
    std::optional<Where> condition;
    if (!where->empty()) try {
        condition.emplace(*where);
      } catch (const Error& e) {
        throw CLI::ValidationError(e.what());
      }
    const auto names = name->empty() ? experiments(*results)
                                     : std::vector<std::string>{experiment_name(*name, *results)};
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
    if (*json) {
      std::cout << Json{{"schema", 1}, {"runs", list}}.dump(1) << "\n";
      return;
    }
    if (list.empty() && condition) {
      std::cerr << fmt::format("no run in {} fulfils it\n", *results);
      return;
    }
    if (list.empty()) {
      std::cerr << fmt::format("no experiments in {}; scorelab run MANIFEST makes one\n", *results);
      return;
    }
    print(list);
  });
}

}  // namespace scorelab::cli
