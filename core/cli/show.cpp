#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <thread>

#include "cli/command.h"
#include "cli/observations.h"
#include "cli/results.h"
#include "cli/summary.h"
#include "cli/terminal.h"
#include "record/files.h"
#include "record/journal.h"

namespace scorelab::cli {
namespace {

std::string stage_line(const Launched& l, const Launched::Stage& s) {
  const fs::path folder = record::stage_folder(l.results, s.key);
  const Json d = stored_result(l, s), failure = stored(l, s, "failure.json");
  if (!d.is_null())
    return record::shaped(folder / "stage.json",
                          [&] { return fmt::format("  {:<28} {}\n", s.what, stage_text(d)); });
  if (!failure.is_null())
    return fmt::format("  {:<28} failed: {}\n", s.what, failure.value("message", "?"));
  const auto story = record::read_journal(folder / "journal.jsonl");
  std::string text = "not begun";
  for (const auto& [name, stream] : story.streams) {
    if (stream.steps.empty()) continue;
    text = fmt::format("{} {}", name, stream.steps.back());
    for (const auto& c : stream.columns)
      if (const double v = stream.values.at(c.name).back(); !std::isnan(v))
        text += fmt::format("  {} {}", c.name, figure(v));
  }
  return fmt::format("  {:<28} {}\n", s.what, text);
}

int show(const fs::path& results, const std::string& name, bool json) {
  const Launched l = load_launched(results, name);
  refresh_all(l);
  if (json) {
    std::cout << summary_json(l).dump(1) << "\n";
    return done;
  }
  std::cout << bold(l.name, STDOUT_FILENO) << "\n" << (l.question.empty() ? "" : l.question + "\n");
  std::cout << fmt::format("launched {} by: {}\n", l.provenance["launched"].get<std::string>(),
                           l.provenance["command"].get<std::string>());
  for (const auto& r : l.replicates) {
    std::cout << fmt::format("{}: {}   {}\n", l.title(r), state_of(l, r),
                             (l.folder(r) / "run.h5").string());
    for (const auto& s : r.stages) std::cout << stage_line(l, s);
    for (const auto& s : r.stages) {
      const auto events =
          record::read_journal(record::stage_folder(l.results, s.key) / "journal.jsonl").events;
      for (std::size_t i = 0; i < events.name.size(); ++i)
        std::cout << fmt::format("  {} {}: {}\n", events.time[i], events.name[i],
                                 events.message[i]);
    }
  }
  return done;
}

/// Shows it again each second while something is at work.
int follow(const fs::path& results, const std::string& name) {
  std::string before;
  while (true) {
    const Launched l = load_launched(results, name);
    std::map<std::string, std::size_t> states;
    std::string text;
    for (const auto& r : l.replicates) {
      const std::string state = state_of(l, r);
      ++states[state];
      if (state != "running") continue;
      text += l.title(r) + "\n";
      for (const auto& s : r.stages) text += stage_line(l, s);
    }
    std::string head = fmt::format("{}:", name);
    for (const auto& [state, n] : states) head += fmt::format(" {} {}", n, state);
    const bool terminal = is_terminal(STDOUT_FILENO);
    if (terminal) put(STDOUT_FILENO, "\x1b[H\x1b[2J");
    if (terminal || head + text != before) std::cout << head << "\n" << text << std::flush;
    before = head + text;
    if (!states.contains("running")) return done;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace

void add_show(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("show", "what an experiment did: stages, metrics, events");
  auto name = std::make_shared<std::string>(), results = std::make_shared<std::string>("results");
  auto json = std::make_shared<bool>(false);
  verb->add_option("experiment", *name, "its name, as ls shows it")->required();
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  auto live = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "as JSON");
  verb->add_flag("-f,--follow", *live, "go on while something is at work");
  verb->callback([=, &code] {
    if (*live) return void(code = follow(*results, experiment_name(*name, *results)));
    if (!fs::exists(fs::path(*results) / *name / "experiment.json")) {
      const auto all = experiments(*results);
      const std::string near = manifest::nearest(*name, all);
      std::cerr << fmt::format("error: there is no experiment `{}` in {}{}\n", *name, *results,
                               near.empty() ? "; scorelab ls shows what there is"
                                            : fmt::format("; did you mean `{}`?", near));
      code = empty;
      return;
    }
    code = show(*results, *name, *json);
  });
}

}  // namespace scorelab::cli
