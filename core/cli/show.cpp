#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"
#include "cli/results.h"
#include "cli/summary.h"
#include "cli/terminal.h"
#include "record/files.h"
#include "record/journal.h"

namespace scorelab::cli {
namespace {

void print_stage(const Launched& l, const Launched::Stage& s) {
  const fs::path folder = record::stage_folder(l.results, s.key);
  const Json d = record::read_json(folder / "stage.json"), failure = record::read_json(folder / "failure.json");
  const std::string& label = s.what;
  if (!d.is_null()) return std::cout << fmt::format("  {:<28} {}\n", label, stage_text(d)), void();
  if (!failure.is_null()) return std::cout << fmt::format("  {:<28} failed: {}\n", label, failure["message"].get<std::string>()), void();
  const auto story = record::read_journal(folder / "journal.jsonl");
  std::string text = "not begun";
  for (const auto& [name, stream] : story.streams) {
    if (stream.steps.empty()) continue;
    text = fmt::format("{} {}", name, stream.steps.back());
    for (const auto& c : stream.columns) text += fmt::format("  {} {}", c.name, figure(stream.values.at(c.name).back()));
  }
  std::cout << fmt::format("  {:<28} {}\n", label, text);
}

int show(const fs::path& results, const std::string& name, bool json) {
  const Launched l = load_launched(results, name);
  for (const auto& r : l.replicates) refresh(l, r, state_of(l, r));
  if (json) return std::cout << summary_json(l).dump(1) << "\n", done;
  std::cout << bold(l.name, STDOUT_FILENO) << "\n" << (l.question.empty() ? "" : l.question + "\n");
  std::cout << fmt::format("launched {} by: {}\n", l.provenance["launched"].get<std::string>(), l.provenance["command"].get<std::string>());
  for (const auto& r : l.replicates) {
    std::cout << fmt::format("{}: {}   {}\n", l.title(r), state_of(l, r), (l.folder(r) / "run.h5").string());
    for (const auto& s : r.stages) print_stage(l, s);
    for (const auto& s : r.stages) {
      const auto events = record::read_journal(record::stage_folder(l.results, s.key) / "journal.jsonl").events;
      for (std::size_t i = 0; i < events.name.size(); ++i)
        std::cout << fmt::format("  {} {}: {}\n", events.time[i], events.name[i], events.message[i]);
    }
  }
  return done;
}

}  // namespace

void add_show(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("show", "what an experiment did: stages, metrics, events");
  auto name = std::make_shared<std::string>(), results = std::make_shared<std::string>("results");
  auto json = std::make_shared<bool>(false);
  verb->add_option("experiment", *name, "its name, as ls shows it")->required();
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_flag("--json", *json, "as JSON");
  verb->callback([=, &code] {
    if (!fs::exists(fs::path(*results) / *name / "experiment.json")) {
      const auto all = experiments(*results);
      const std::string near = manifest::nearest(*name, all);
      std::cerr << fmt::format("error: there is no experiment `{}` in {}{}\n", *name, *results,
                               near.empty() ? "; scorelab ls shows what there is" : fmt::format("; did you mean `{}`?", near));
      code = empty;
      return;
    }
    code = show(*results, *name, *json);
  });
}

}  // namespace scorelab::cli
