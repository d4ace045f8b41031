#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>

#include "cli/command.h"
#include "cli/hosts.h"
#include "cli/progress.h"
#include "cli/provenance.h"
#include "cli/results.h"
#include "cli/summary.h"
#include "cli/terminal.h"
#include "plan/plan.h"
#include "record/files.h"

namespace scorelab::cli {
namespace {

volatile std::sig_atomic_t interrupts = 0, terminations = 0;

/// Copies a plugin's file under its hash, so that a later build changes nothing that is planned, and points the config at the copy.
void freeze(Json& value, const fs::path& results) {
  if (value.is_object() && value.contains("plugin") && value.contains("sha256")) {
    const fs::path copy = fs::absolute(results / ".plugins" / (value["sha256"].get<std::string>() + ".so"));
    if (!fs::exists(copy)) {
      const fs::path file = value["file"].get<std::string>();
      record::replace_whole(copy, [&](const fs::path& temporary) { fs::copy_file(file, temporary, fs::copy_options::overwrite_existing); });
    }
    value["file"] = copy.string();
  }
  if (value.is_structured())
    for (auto& inner : value) freeze(inner, results);
}

Launched launch(const plan::Plan& plan, const Loaded& loaded, const ManifestArguments& arguments, const fs::path& results,
                const std::string& command) {
  const auto& e = loaded.experiment;
  Launched l{
      results,        e.name, e.question, arguments.file, loaded.text, {}, provenance(e, fs::path(arguments.file).parent_path(), command),
      loaded.plugins, {}};
  l.resolved = {{"name", e.name},       {"question", e.question}, {"dataset", e.dataset}, {"scheduler", e.scheduler},
                {"network", e.network}, {"sample", e.sample},     {"run", e.run}};
  for (const auto& [name, part] :
       {std::pair{"output", &e.output}, {"objective", &e.objective}, {"train", &e.train}, {"sampler", &e.sampler}, {"metrics", &e.metrics}})
    if (!part->is_null() && !part->empty()) l.resolved[name] = *part;
  if (e.sampler.is_null()) l.resolved.erase("sample");
  if (!e.guides.empty()) l.resolved["guides"] = e.guides;  // a list: their order counts
  for (const auto& cell : plan.cells) {
    Launched::Cell c{cell.seed, cell.folder, {}};
    for (const auto i : cell.stages) c.stages.push_back({plan.stages[i].kind, plan.stages[i].key, plan.stages[i].label});
    l.cells.push_back(std::move(c));
  }
  if (std::all_of(plan.stages.begin(), plan.stages.end(), [](const auto& s) { return s.done; }) &&
      fs::exists(results / e.name / "experiment.json"))
    l.provenance = load_launched(results, e.name).provenance;  // of what was done: this run does nothing
  save(l);
  return l;
}

/// Writes what a host needs for a stage that is to do, unless another run has it.
void hand_over(const plan::Stage& stage, const fs::path& results) {
  const fs::path folder = record::stage_folder(results, stage.key);
  const record::Claim claim(folder, true);
  std::string why;
  if (!claim.held() || plan::is_done(results, stage, why)) return;  // another run has it, or has just ended it
  record::remove_stale(folder);
  Json spec = stage.spec;
  freeze(spec, results);
  if (const Json stored = record::read_json(folder / "spec.json"); stored.is_object() && stored.contains("ema"))
    for (const auto& rate : stored["ema"])  // averages that were asked for before are kept
      if (std::find(spec["ema"].begin(), spec["ema"].end(), rate) == spec["ema"].end()) spec["ema"].push_back(rate);
  record::write_whole(folder / "spec.json", spec.dump(1));
  fs::remove(folder / "stage.json");  // it lacks something that is asked for now
}

/// Runs hosts until every stage is done, one has failed, or we are told to stop.
class Runner {
 public:
  Runner(const plan::Plan& plan, const Launched& launched, bool quiet) : plan_(plan), launched_(launched), quiet_(quiet) {}

  int run() {
    std::signal(SIGINT, [](int) { interrupts = interrupts + 1; });
    std::signal(SIGTERM, [](int) { terminations = terminations + 1; });
    std::signal(SIGPIPE, SIG_IGN);
    while (true) {
      std::vector<std::string> keys;
      std::string unused;
      for (const auto& s : plan_.stages)
        if (!plan::is_done(launched_.results, s, unused)) {
          hand_over(s, launched_.results);
          keys.push_back(s.key);
        }
      if (keys.empty()) return done;
      busy_ = false;
      const int code = one_host(keys);
      if (interrupts > 0) return interrupted;
      if (terminations > 0) return stopped;
      if (code != done || failed_code_ != done) return failed_code_ != done ? failed_code_ : (code == stopped ? stopped : failed);
      if (busy_) wait_a_little();  // another run has a stage of ours: it is shared, or goes on when that one ends
    }
  }

 private:
  const plan::Stage& stage(const std::string& key) const {
    return *std::find_if(plan_.stages.begin(), plan_.stages.end(), [&](const auto& s) { return s.key == key; });
  }

  /// The files and manifest lines of the plugins that a message names.
  std::string whose(const std::string& message) const {
    std::string out;
    for (const auto& [title, place] : launched_.plugins)
      if (message.find(title) != message.npos) out += fmt::format("\n  {}: {}", title, place);
    return out;
  }

  static void wait_a_little() {
    timespec half{0, 500000000};
    nanosleep(&half, nullptr);
  }

  int one_host(const std::vector<std::string>& keys) {
    std::vector<std::string> arguments{"work", fs::absolute(launched_.results).string()};
    arguments.insert(arguments.end(), keys.begin(), keys.end());
    Host host(arguments);
    int told = 0;
    bool killed = false;
    while (host.read(200, [&](const std::string& line) { event(line); })) {
      if (interrupts + terminations > told) {
        told = interrupts + terminations;
        if (interrupts > 1 && !killed) {
          killed = true;
          host.signal(SIGKILL);
        } else if (told == 1) {
          host.signal(SIGTERM);
          progress_.line(interrupts > 0 ? "stopping: a checkpoint is written first; Ctrl-C again stops now"
                                        : "stopping: a checkpoint is written first");
        }
      }
      refresh_now_and_then();
    }
    const int code = host.wait();
    if (code > 128 && interrupts + terminations == 0 && failed_code_ == done) {
      const std::string label = running_.empty() ? "the host" : stage(running_).label;
      const std::string who = crashed_in_.empty() ? "scorelab-host" : crashed_in_;
      fail(label,
           fmt::format("{} crashed ({}): a fault in its code ended the host process; what was reported and checkpointed is kept{}{}", who,
                       signal_name(code - 128), whose(who),
                       running_.empty() ? "" : "\n  stage: " + record::stage_folder(launched_.results, running_).string()),
           failed);
    }
    return code;
  }

  static std::string signal_name(int number) {
    const char* name = sigabbrev_np(number);
    return name ? fmt::format("SIG{}", name) : fmt::format("signal {}", number);
  }

  void event(const std::string& line) {
    const Json e = Json::parse(line, nullptr, false);
    if (!e.is_object()) return progress_.line(line);
    const std::string what = e.value("event", "");
    if (what == "start") {
      running_ = e["stage"];
      progress_.start(running_, stage(running_).label);
    } else if (what == "progress") {
      if (!quiet_) progress_.update(e);
      live_ = true;
    } else if (what == "done") {
      if (!quiet_) progress_.finish(e["stage"], stage_text(e["result"]));
    } else if (what == "busy") {
      busy_ = true;
    } else if (what == "failed") {
      const fs::path folder = record::stage_folder(launched_.results, e["stage"]);
      fail(stage(e["stage"]).label, e["message"].get<std::string>() + whose(e["message"]) + fmt::format("\n  stage: {}", folder.string()),
           e["exit"]);
    } else if (what == "crash") {
      crashed_in_ = e["plugin"];
      if (!running_.empty())
        record::write_whole(record::stage_folder(launched_.results, running_) / "failure.json",
                            Json{{"message", crashed_in_ + " crashed: " + e["signal"].get<std::string>()}, {"time", record::now()}}.dump());
    }
  }

  void fail(const std::string& label, const std::string& message, int code) {
    failed_code_ = code;
    progress_.line(fmt::format("{} {} failed: {}", red("error:", STDERR_FILENO), label, message));
  }

  /// run.h5 while the run is live: soon after the first row, then at most every 30 s and for at most 5 % of the time.
  void refresh_now_and_then() {
    const auto now = clock::now();
    if (!live_ || now < next_refresh_) return;
    for (const auto& cell : launched_.cells)
      if (std::any_of(cell.stages.begin(), cell.stages.end(), [&](const auto& s) { return s.key == running_; })) try_refresh(cell);
    next_refresh_ = clock::now() + std::max<clock::duration>(std::chrono::seconds(30), 20 * (clock::now() - now));
  }

  void try_refresh(const Launched::Cell& cell) {
    try {
      refresh(launched_, cell, "running");
    } catch (const std::exception& e) {  // the stages are the truth; a view can be made later
      progress_.line(fmt::format("run.h5 was not refreshed: {}", e.what()));
    }
  }

  using clock = std::chrono::steady_clock;
  const plan::Plan& plan_;
  const Launched& launched_;
  bool quiet_, busy_ = false, live_ = false;
  Progress progress_;
  std::string running_, crashed_in_;
  int failed_code_ = done;
  clock::time_point next_refresh_{};
};

int run(const ManifestArguments& arguments, const fs::path& results, bool json, bool quiet, const std::string& command) {
  Loaded loaded;
  if (const int code = load_manifest(arguments, false, loaded); code != done) return code;
  plan::Plan plan = plan::make_plan(loaded.experiment, results);
  const auto begin = std::chrono::steady_clock::now();
  const auto todo = std::count_if(plan.stages.begin(), plan.stages.end(), [](const auto& s) { return !s.done; });
  if (!quiet) {
    std::cerr << fmt::format("{}: {} stages, {} done, {} to do\n", bold(plan.name, STDERR_FILENO), plan.stages.size(),
                             plan.stages.size() - static_cast<std::size_t>(todo), todo);
    for (const auto& s : plan.stages)
      if (!s.reason.empty() && (!s.done || s.reason[0] == '~')) std::cerr << fmt::format("  {:<26} {}\n", s.label, s.reason);
  }
  const Launched launched = launch(plan, loaded, arguments, results, command);
  const int code = todo == 0 ? done : Runner(plan, launched, quiet).run();
  for (const auto& cell : launched.cells) refresh(launched, cell, state_of(launched, cell));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (json)
    std::cout << summary_json(launched).dump(1) << "\n";
  else if (code == done)
    std::cout << summary(launched, seconds);
  else if (code == stopped || code == interrupted)
    std::cerr << fmt::format("{} stopped; the same command goes on from the last checkpoint\n", plan.name);
  return code;
}

}  // namespace

void add_run(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("run", "run an experiment, or go on with it; what is done stays done");
  auto arguments = std::make_shared<ManifestArguments>();
  auto results = std::make_shared<std::string>("results");
  auto json = std::make_shared<bool>(false), quiet = std::make_shared<bool>(false);
  arguments->add(*verb);
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_flag("--json", *json, "the summary as JSON on stdout");
  verb->add_flag("-q,--quiet", *quiet, "no progress");
  verb->callback([=, &code] {
    std::string command = "scorelab run " + arguments->file;
    for (const auto& s : arguments->overrides) command += " -s " + s;
    code = run(*arguments, *results, *json, *quiet, command);
  });
}

}  // namespace scorelab::cli
