#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <set>

#include "catalog/trust.h"
#include "cli/command.h"
#include "cli/observations.h"
#include "cli/planning.h"
#include "cli/provenance.h"
#include "cli/running.h"
#include "cli/summary.h"
#include "cli/terminal.h"
#include "manifest/text.h"
#include "params/walk.h"
#include "record/files.h"

namespace scorelab::cli {
namespace {

Json resolved_of(const manifest::Comparison& c, const manifest::Experiment& e) {
  Json out{{"name", c.name},       {"question", c.question},
           {"dataset", e.dataset}, {"scheduler", e.scheduler},
           {"network", e.network}, {"sample", e.sample},
           {"run", e.run}};
  for (const auto& [name, part] : {std::pair{"space", &e.space},
                                   {"holdout", &e.holdout},
                                   {"output", &e.output},
                                   {"objective", &e.objective},
                                   {"train", &e.train},
                                   {"sampler", &e.sampler},
                                   {"metrics", &e.metrics}})
    if (!part->is_null() && !(part->is_structured() && part->empty())) out[name] = *part;
  if (e.sampler.is_null()) out.erase("sample");
  for (const auto& [name, m] : e.models) {
    Json& model = out["models"][name];
    model = {{"dataset", m->dataset},
             {"scheduler", m->scheduler},
             {"network", m->network},
             {"run", m->run}};
    // Null where the model has none of what the experiment has: "none".
    if (!m->space.is_null() || !e.space.is_null()) model["space"] = m->space;
    if (!m->holdout.is_null() || !e.holdout.is_null()) model["holdout"] = m->holdout;
    if (!m->objective.is_null())
      model.update({{"output", m->output},
                    {"objective", m->objective},
                    {"train", m->train},
                    {"ema", m->sample["ema"]},
                    {"seed", m->sample["seed"]}});
  }
  if (!e.guides.empty()) out["guides"] = e.guides;  // a list: their order counts
  return out;
}

/// What this manifest runs may be run from the results later too, where its plugins lie as copies.
void remember_programs(const Json& value) {
  static std::set<std::string> remembered;
  schema::for_each_component(value, [&](const Json& component) {
    if (component.contains("sha256") && remembered.insert(component["sha256"]).second)
      catalog::remember_program(component["sha256"]);
  });
}

Launched launch(const plan::Plan& plan, const Loaded& loaded, const RunArguments& a) {
  const auto& c = loaded.comparison;
  Launched l{a.results,
             c.name,
             c.question,
             manifest::as_utf8(a.manifest.file),
             loaded.text,
             manifest::to_json(c),
             provenance(loaded.cells, fs::path(a.manifest.file).parent_path(), a.command),
             loaded.plugins,
             {},
             {},
             {},
             loaded.warnings};
  for (const auto& cell : plan.cells) {
    const auto left = loaded.left_out.find(manifest::text(cell.at));
    l.cells.push_back({cell.at,
                       resolved_of(c, cell.experiment),
                       {},
                       left == loaded.left_out.end() ? std::vector<std::string>{} : left->second});
    for (const auto& s : plan.searches)
      if (s.at == cell.at && !s.chosen.empty())
        l.cells.back().chosen = {
            {"axis", s.axis}, {"label", s.chosen}, {"of", s.cells.size()}, {"metric", s.metric}};
  }
  for (const auto& r : plan.replicates) {
    l.replicates.push_back({r.cell, r.train_seed, r.sample_seed, r.name, r.folder, {}});
    for (const auto i : r.stages) {
      const auto& s = plan.stages[i];
      const auto of = std::find_if(r.models.begin(), r.models.end(),
                                   [i = i](const auto& m) { return m.second == i; });
      const bool named = of != r.models.end();
      auto& stages = l.replicates.back().stages;
      const std::string what = s.kind == "train" ? "train" : s.what;
      stages.push_back(
          {named ? "model" : s.kind, s.key, named ? "train " + of->first : what, s.label});
      if (s.kind != "sample") continue;
      s.spec["sample"]["count"].get_to(stages.back().count);
      s.spec["sample"]["trace"].get_to(stages.back().trace);
    }
  }
  for (const auto& s : plan.searches)
    for (const auto i : s.stages) l.searched.push_back(plan.stages[i].key);
  if (std::all_of(plan.stages.begin(), plan.stages.end(), [](const auto& s) { return s.done; }) &&
      fs::exists(l.results / l.name / "experiment.json")) {
    try {  // of what was done: this run does nothing
      l.provenance = load_launched(l.results, l.name).provenance;
    } catch (const Error&) {  // it is written anew
    }
  }
  for (const auto& cell : l.cells) remember_programs(cell.resolved);
  save(l);
  return l;
}

/// Forgets results, so that they are made again.
void forget(const plan::Plan& plan, const std::vector<std::size_t>& stages,
            const fs::path& results) {
  for (const auto i : stages) {
    const fs::path folder = record::stage_folder(results, plan.stages[i].key);
    if (!fs::exists(folder)) continue;
    if (fs::is_symlink(folder))
      throw Error(
          fmt::format("{} is a link: it is not followed, and nothing is removed", folder.string()));
    const record::Claim claim(folder, true);
    if (!claim.held())
      throw Error(fmt::format("{} is at work in another run; it cannot be made again now",
                              plan.stages[i].label));
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().filename() != "lock") fs::remove_all(entry.path());
  }
}

/// While no stage runs, a signal ends the program at once: nothing is half done.
void end_on_signals() {
  for (const int number : {SIGTERM, SIGHUP, SIGUSR1})
    handle_signal(number, [](int) {
      put(STDERR_FILENO, "stopped; the same command goes on\n");
      _exit(stopped);
    });
  handle_signal(SIGINT, [](int) { _exit(interrupted); });
}

std::vector<std::size_t> unfinished(const plan::Plan& plan,
                                    const std::vector<std::size_t>& selected) {
  std::vector<std::size_t> out;
  for (const auto i : selected)
    if (!plan.stages[i].done) out.push_back(i);
  return out;
}

/// What the claims make of a run that has ended: failed where one of them fails.
int judged(const Launched& launched) {
  const auto verdicts = compare::judge(observations(launched));
  return std::any_of(verdicts.begin(), verdicts.end(),
                     [](const auto& v) { return v.outcome == compare::Outcome::fail; })
             ? failed
             : done;
}

}  // namespace

int run_loaded(const Loaded& loaded, const RunArguments& a) {
  const auto begin = std::chrono::steady_clock::now();
  auto make = [&] { return plan::make_plan(loaded.comparison, loaded.cells, a.results); };
  // From the plan to the record of what was launched, so that gc removes nothing in between.
  std::optional<record::ResultsLock> lock(std::in_place, a.results,
                                          record::ResultsLock::Mode::plan);
  plan::Plan plan = make();
  auto selected = select(plan, a.selection, loaded.comparison);
  if (selected.empty()) {
    std::cerr << "error: nothing is selected; scorelab plan shows the cells\n";
    return empty;
  }
  if (a.rerun == "all") {
    forget(plan, selected, a.results);
    plan = make();
  } else if (a.rerun == "failed") {
    std::erase_if(selected, [&](std::size_t i) {
      return !fs::exists(record::stage_folder(a.results, plan.stages[i].key) / "failure.json");
    });
    if (selected.empty()) {
      std::cerr << "nothing has failed\n";
      return empty;
    }
  }
  if (!a.options.quiet) std::cerr << plan_text(plan, loaded, STDERR_FILENO, false);
  Launched launched = launch(plan, loaded, a);
  record::remove_stale(fs::path(a.results) / ".plugins");
  lock.reset();
  int code = done;
  for (auto todo = unfinished(plan, selected); !todo.empty(); todo = unfinished(plan, selected)) {
    const bool searches = std::any_of(plan.searches.begin(), plan.searches.end(),
                                      [](const auto& s) { return s.chosen.empty(); });
    code = Runner(plan, todo, launched, a.options).run();
    end_on_signals();
    if (code != done || !searches) break;
    lock.emplace(a.results, record::ResultsLock::Mode::plan);
    plan = make();  // some are decided now
    selected = select(plan, a.selection, loaded.comparison);
    launched = launch(plan, loaded, a);
    lock.reset();
    if (!a.options.quiet) std::cerr << plan_text(plan, loaded, STDERR_FILENO, false);
  }
  if (refresh_all(launched) > 0 && code == done) code = failed;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::string& until = a.selection.until;  // then there is nothing yet to claim
  if (a.json)
    std::cout << summary_json(launched).dump(1) << "\n";
  else if (code == done && !until.empty())
    std::cout << fmt::format("{}: done up to `{}`; without --until the same command goes on\n",
                             plan.name, until);
  else if (code == done || (code == failed && !loaded.comparison.single()))
    std::cout << summary(launched, seconds);
  else if (code == stopped || code == interrupted)
    std::cerr << fmt::format("{} stopped; the same command goes on from the last checkpoint\n",
                             plan.name);
  if (code != done || !until.empty() || launched.comparison["claims"].empty()) return code;
  return judged(launched);
}

namespace {

/// A line of the table that ends a run of several manifests.
std::string line(const Loaded& loaded, const RunArguments& a, int code, double seconds) {
  std::size_t counts[3] = {0, 0, 0};
  if (code == done || code == failed)
    for (const auto& v :
         compare::judge(observations(load_launched(a.results, loaded.comparison.name))))
      ++counts[static_cast<int>(v.outcome)];
  std::string claims = fmt::format("{} passed", counts[0]);
  if (counts[1]) claims += fmt::format(", {} failed", counts[1]);
  if (counts[2]) claims += fmt::format(", {} undecided", counts[2]);
  return fmt::format("{:<32} {:>8}  {}\n", loaded.comparison.name, duration(seconds),
                     counts[0] + counts[1] + counts[2] > 0 ? claims
                     : code == done                        ? "done"
                                                           : fmt::format("exit code {}", code));
}

/// All manifests are read first: where one is wrong nothing is started. Then one after the other; a
/// failure does not keep the rest from running, a stop does. The exit code is the first that is not
/// 0, or that of the stop.
int run_files(const std::vector<std::string>& files, const RunArguments& a) {
  std::vector<std::unique_ptr<Loaded>> all;
  std::vector<RunArguments> arguments;
  int code = done;
  for (const auto& file : files) {
    auto& own = arguments.emplace_back(a);
    own.manifest.file = file;
    own.command = "scorelab run " + file;
    for (const auto& s : a.manifest.overrides) own.command += " -s " + s;
    for (const auto& x : a.manifest.axes) own.command += " -x " + x;
    own.command = manifest::as_utf8(own.command);
    const int read =
        load_manifest(own.manifest, false, *all.emplace_back(std::make_unique<Loaded>()));
    if (code == done) code = read;
  }
  if (code != done) return code;
  if (files.size() == 1) return run_loaded(*all[0], arguments[0]);
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (all[i]->comparison.name == all[k]->comparison.name) {
        std::cerr << fmt::format(
            "error: {} and {} are both named `{}`: their results would lie in one folder\nhelp: "
            "give one another `name`\n",
            files[k], files[i], all[i]->comparison.name);
        return usage;
      }
  std::string table;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const int own = run_loaded(*all[i], arguments[i]);
    if (own == stopped || own == interrupted) return own;
    if (code == done) code = own;
    table += line(*all[i], a, own,
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    if (!a.json) std::cout << "\n";
  }
  std::vector<std::string> names;
  for (const auto& loaded : all) names.push_back(loaded->comparison.name);
  (a.json ? std::cerr : std::cout)
      << table << fmt::format("next: scorelab report {}\n", fmt::join(names, " "));
  return code;
}

}  // namespace

void add_run(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand(
      "run", "run or resume experiments and comparisons; finished stages are not repeated");
  auto a = std::make_shared<RunArguments>();
  auto fail_fast = std::make_shared<bool>(false);
  auto files = std::make_shared<std::vector<std::string>>();
  a->manifest.add(*verb, files.get());
  a->selection.add(*verb);
  verb->add_option("--results", a->results, "the folder for results")->capture_default_str();
  verb->add_option("-j,--jobs", a->options.hosts,
                   "hosts at once: one a GPU, or a share of the cores each")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  verb->add_flag(
      "--fail-fast", *fail_fast,
      "stop at the first failure; otherwise what does not need the failed stage goes on");
  verb->add_option("--max-fail", a->options.max_failures, "stop after so many failures")
      ->check(CLI::Range(1, 1000000));
  verb->add_option(
          "--rerun", a->rerun,
          "failed: only the stages that failed; all: forget what is selected and make it again")
      ->check(CLI::IsMember({"failed", "all"}));
  verb->add_flag("--json", a->json, "the summary as JSON on stdout");
  verb->add_flag("-q,--quiet", a->options.quiet, "no progress");
  verb->callback([=, &code] {
    end_on_signals();
    if (*fail_fast) a->options.max_failures = 1;
    code = run_files(*files, *a);
  });
}

}  // namespace scorelab::cli
