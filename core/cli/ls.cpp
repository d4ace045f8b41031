#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"
#include "cli/results.h"
#include "cli/terminal.h"

namespace scorelab::cli {

void add_ls(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("ls", "the experiments in the results folder, their state and metrics");
  auto results = std::make_shared<std::string>("results");
  auto json = std::make_shared<bool>(false);
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_flag("--json", *json, "as JSON");
  verb->callback([=, &code] {
    Json list = Json::array();
    for (const auto& name : experiments(*results)) {
      const Launched l = load_launched(*results, name);
      for (const auto& r : l.replicates)
        list.push_back({{"experiment", name},
                        {"run", l.title(r)},
                        {"seed", r.sample_seed},
                        {"state", state_of(l, r)},
                        {"launched", l.provenance["launched"]},
                        {"metrics", measured(l, r)},
                        {"folder", l.folder(r).string()}});
    }
    code = list.empty() ? empty : done;
    if (*json) return std::cout << Json{{"schema", 1}, {"runs", list}}.dump(1) << "\n", void();
    if (list.empty()) return std::cerr << fmt::format("no experiments in {}; scorelab run MANIFEST makes one\n", *results), void();
    std::cout << fmt::format("{:<24} {:<20}  {:<8} {:<20}  metrics\n", "experiment", "run", "state", "launched");
    for (const auto& r : list) {
      std::string metrics;
      for (const auto& m : r["metrics"])
        metrics += fmt::format("{} {}  ", m["name"].get<std::string>(),
                               m["value"].is_number() ? figure(m["value"]) : m["value"].get<std::string>());
      std::cout << fmt::format("{:<24} {:<20}  {:<8} {:<20}  {}\n", r["experiment"].get<std::string>(), r["run"].get<std::string>(),
                               r["state"].get<std::string>(), r["launched"].get<std::string>(), metrics);
    }
  });
}

}  // namespace scorelab::cli
