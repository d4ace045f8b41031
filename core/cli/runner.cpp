#include "cli/runner.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <thread>

#include "cli/command.h"
#include "cli/summary.h"
#include "cli/terminal.h"
#include "params/sha256.h"
#include "params/walk.h"
#include "record/files.h"

namespace scorelab::cli {
namespace {

volatile std::sig_atomic_t interrupts = 0, terminations = 0;

/// Copies each plugin's file under its hash, so that a later build changes nothing that is planned,
/// and points the config at the copy.
void freeze(Json& spec, const fs::path& results) {
  static std::set<std::string> checked;
  schema::for_each_component(spec, [&](Json& component) {
    if (!component.contains("sha256")) return;
    const std::string hash = component["sha256"];
    const fs::path copy = fs::absolute(results / ".plugins" / (hash + ".so")),
                   file = component["file"].get<std::string>();
    const auto whole = [&](const fs::path& f) {
      return fs::is_regular_file(fs::symlink_status(f)) && sha256_file(f) == hash;
    };
    if (checked.insert(copy.string()).second && !whole(copy))
      record::replace_whole(copy, [&](const fs::path& temporary) {
        fs::copy_file(file, temporary);
        if (!whole(temporary))
          throw Error(
              fmt::format("{} was built again while it was planned; run it again", file.string()));
      });
    component["file"] = copy.string();
  });
}

/// Writes what a host needs for a stage that is to do, unless another run has it.
void hand_over(const plan::Stage& stage, const fs::path& results) {
  const fs::path folder = record::stage_folder(results, stage.key);
  const record::Claim claim(folder, true);
  std::string why;
  // another run has it, or has just ended it
  if (!claim.held() || plan::is_done(results, stage, why)) return;
  record::remove_stale(folder);
  Json spec = stage.spec;
  freeze(spec, results);
  try {  // what was asked for before, or is asked for by another run, is kept
    if (const Json stored = record::read_json(folder / "spec.json"); stored.is_object())
      record::shaped(folder / "spec.json", [&] { plan::gather(spec, stored); });
  } catch (const record::Damaged&) {  // it is written anew
  }
  record::write_json(folder / "spec.json", std::move(spec));
  record::set_aside(folder);
  fs::remove(folder / "failure.json");
}

std::string signal_name(int number) {
  const char* name = sigabbrev_np(number);
  return name ? fmt::format("SIG{}", name) : fmt::format("signal {}", number);
}

}  // namespace

void handle_signal(int number, void (*handler)(int)) {
  static std::map<int, bool> ignored;
  struct sigaction now {};
  const auto [it, first] = ignored.try_emplace(
      number, sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN);
  if (!it->second) std::signal(number, handler);
}

Runner::Runner(const plan::Plan& plan, std::vector<std::size_t> todo, const Launched& launched,
               const RunOptionsOfVerb& options)
    : plan_(plan),
      todo_(std::move(todo)),
      launched_(launched),
      options_(options),
      progress_(todo_.size()),
      workers_(options.hosts) {
  for (std::size_t i = 0; i < plan_.stages.size(); ++i) index_[plan_.stages[i].key] = i;
}

int Runner::run() {
  handle_signal(SIGINT, [](int) { interrupts = interrupts + 1; });
  for (const int number : {SIGTERM, SIGHUP, SIGUSR1})
    handle_signal(number, [](int) { terminations = terminations + 1; });
  for (std::vector<std::string> before; true;) {
    const auto keys = hand_over_all();
    if (keys.empty() || stopping_) break;
    if (keys == before && died_) {
      fail("",
           "the hosts end without a word and no stage gets further; what was checkpointed is kept",
           failed);
      break;
    }
    before = keys;
    died_ = false;
    for (std::size_t i = 0; i < std::min(workers_.size(), keys.size()); ++i) start(i, keys);
    while (std::any_of(workers_.begin(), workers_.end(),
                       [](const Worker& w) { return w.host != nullptr; })) {
      for (std::size_t i = 0; i < workers_.size(); ++i) {
        auto& w = workers_[i];
        if (!w.host || w.host->read(workers_.size() == 1 ? 200 : 20,
                                    [&](const std::string& line) { event(i, line); }))
          continue;
        const int code = w.host->wait();
        w.host.reset();
        ended(i, code);
      }
      pass_on_signals();
      refresh_now_and_then();
    }
    if (interrupts > 0) return interrupted;
    if (terminations > 0 || (stopped_ && failed_code_ == done)) return stopped;
  }
  return failed_code_;
}

/// What is neither done nor hopeless, with its spec written: another run may have ended, or begun,
/// some of it.
std::vector<std::string> Runner::hand_over_all() {
  std::vector<std::string> keys;
  std::string unused;
  for (std::size_t k = 0; k < todo_.size(); ++k) {  // grows: what they need may be taken back
    const plan::Stage& s = plan_.stages[todo_[k]];
    if (plan::is_done(launched_.results, s, unused)) continue;
    for (const auto parent : s.after)
      if (std::find(todo_.begin(), todo_.end(), parent) == todo_.end() &&
          !plan::is_done(launched_.results, plan_.stages[parent], unused))
        todo_.push_back(parent);
  }
  for (const auto i : todo_) {
    const plan::Stage& s = plan_.stages[i];
    if (failed_.contains(s.key) || blocked(s) || plan::is_done(launched_.results, s, unused))
      continue;
    if (made_[s.key] >= 3)
      throw Error(fmt::format("{} was made {} times and still lacks what is asked of it: {}",
                              s.label, made_[s.key], unused));
    hand_over(s, launched_.results);
    keys.push_back(s.key);
  }
  return keys;
}

bool Runner::blocked(const plan::Stage& s) const {
  return std::any_of(s.after.begin(), s.after.end(), [&](std::size_t parent) {
    const plan::Stage& p = plan_.stages[parent];
    return failed_.contains(p.key) || blocked(p);
  });
}

void Runner::start(std::size_t i, const std::vector<std::string>& keys) {
  workers_[i] = {std::make_unique<Host>(std::vector<std::string>{
                     "work", fs::absolute(launched_.results).string(), std::to_string(i),
                     std::to_string(workers_.size()), std::to_string(options_.max_failures)}),
                 "", "", false};
  std::string list;
  for (const auto& key : keys) list += key + "\n";
  workers_[i].host->write(list + "\n");
}

void Runner::ended(std::size_t i, int code) {
  Worker& w = workers_[i];
  if (code == cli::stopped) stopped_ = true;
  died_ = died_ || code > 128 || code == 3;
  if (!w.ready && interrupts + terminations == 0 && !stopping_) {
    fail("",
         fmt::format("scorelab-host ended before it began ({}); its own words stand above. "
                     "`scorelab doctor` looks for the cause",
                     code > 128 ? signal_name(code - 128) : fmt::format("exit code {}", code)),
         unavailable);
    return stop_all();
  }
  const bool silent = !w.running.empty() || (code != done && code != cli::stopped &&
                                             failed_.empty() && failed_code_ == done);
  if (silent && interrupts + terminations == 0 && !stopping_) {
    const std::string who = w.crashed_in.empty() ? "scorelab-host" : w.crashed_in;
    const std::string how =
        code == 128 + SIGKILL ? "was killed by SIGKILL (out of memory?)"
        : code > 128
            ? fmt::format("crashed ({}): a fault in its code ended the host process",
                          signal_name(code - 128))
            : fmt::format("ended too early (exit code {}): a plugin's code called exit, it seems",
                          code);
    if (code <= 128 || code == 128 + SIGKILL)
      note_failure(w.running, fmt::format("{} {}", who, how));
    fail(w.running,
         fmt::format("{} {}; what was reported and checkpointed is kept{}", who, how, whose(who)),
         failed);
    const bool in_stage = !w.running.empty();
    const auto keys = hand_over_all();
    if (in_stage && !keys.empty()) return start(i, keys);
  }
  progress_.idle(i);
}

/// For a host that could not.
void Runner::note_failure(const std::string& key, const std::string& message) const {
  if (key.empty()) return;
  const fs::path folder = record::stage_folder(launched_.results, key);
  try {
    if (fs::exists(folder / "spec.json"))
      record::write_json(folder / "failure.json",
                         Json{{"message", message}, {"time", record::now()}});
  } catch (const Error&) {  // it is told on the terminal
  }
}

void Runner::pass_on_signals() {
  if (interrupts > 1 && !killed_) {
    killed_ = stopping_ = told_ = true;
    for (auto& w : workers_)
      if (w.host) w.host->signal(SIGKILL);
  } else if (interrupts + terminations > 0 && !told_) {
    // several may have come since the last look
    told_ = true;
    stop_all();
    progress_.line(interrupts > 0
                       ? "stopping: a checkpoint is written first; Ctrl-C again stops now"
                       : "stopping: a checkpoint is written first");
  }
  if (options_.max_failures > 0 && failed_.size() >= options_.max_failures && !stopping_) {
    stop_all();
    progress_.line(fmt::format("stopping: {} failed", failed_.size()));
  }
}

void Runner::stop_all() {
  stopping_ = true;
  for (auto& w : workers_)
    if (w.host) w.host->signal(SIGTERM);
}

const plan::Stage& Runner::stage(const std::string& key) const {
  return plan_.stages[index_.at(key)];
}

/// The files and manifest lines of the plugins that a message names.
std::string Runner::whose(const std::string& message) const {
  std::string out;
  for (const auto& [title, place] : launched_.plugins)
    if (message.find(title) != message.npos) out += fmt::format("\n  {}: {}", title, place);
  return out;
}

void Runner::event(std::size_t i, const std::string& line) {
  Worker& w = workers_[i];
  const Json e = Json::parse(line, nullptr, false);
  if (!e.is_object()) return progress_.line(line);
  const std::string what = e.value("event", "");
  // else another host has made it
  const bool own = e.contains("stage") && w.running == e["stage"].get<std::string>();
  if (what == "ready") w.ready = true;
  if (what == "done" || what == "busy" || what == "failed" || what == "stopped") w.running.clear();
  if (what == "start") {
    w.running = e["stage"];
    progress_.start(i, w.running, stage(w.running).label);
  } else if (what == "progress") {
    if (!options_.quiet) progress_.update(i, e);
    live_.insert(e["stage"].get<std::string>());
  } else if (what == "done") {
    const std::string key = e["stage"];
    made_[key] += own;
    if (told_done_.insert(key).second && !options_.quiet)
      progress_.finish(i, stage(key).label,
                       stage_text(record::relabelled(e["result"], stage(key).what)));
    else
      progress_.idle(i);
  } else if (what == "warning") {
    if (warned_.insert(e.value("message", "")).second)
      progress_.line(fmt::format("warning: LibTorch: {}", e.value("message", "")));
  } else if (what == "busy") {
    if (!options_.quiet && workers_.size() == 1 &&
        waited_for_.insert(e["stage"].get<std::string>()).second)
      progress_.line(fmt::format(
          "{} is at work in another run, or lacks what another run makes: waiting for it",
          stage(e["stage"]).label));
  } else if (what == "failed") {
    fail(e["stage"], e["message"].get<std::string>() + whose(e["message"]), e["exit"]);
    progress_.idle(i);
  } else if (what == "crash") {
    w.crashed_in = e["plugin"];
    note_failure(w.running, w.crashed_in + " crashed: " + e["signal"].get<std::string>());
  }
}

void Runner::fail(const std::string& key, const std::string& message, int code) {
  failed_code_ = std::max(failed_code_, code);
  if (!key.empty()) failed_.insert(key);
  progress_.line(fmt::format(
      "{} {} failed: {}{}", red("error:", STDERR_FILENO),
      key.empty() ? "the host" : stage(key).label, message,
      key.empty() ? "" : "\n  stage: " + record::stage_folder(launched_.results, key).string()));
}

/// run.h5 while the run is live: soon after the first row, then at most every 30 s and for at most
/// 5 % of the time.
void Runner::refresh_now_and_then() {
  const auto now = clock::now();
  if (live_.empty() || now < next_refresh_) return;
  for (const auto& r : launched_.replicates) {
    if (std::none_of(r.stages.begin(), r.stages.end(),
                     [&](const auto& s) { return live_.contains(s.key); }))
      continue;
    try {
      refresh(launched_, r, "running");
    } catch (const std::exception& e) {  // the stages are the truth; a view can be made later
      progress_.line(fmt::format("run.h5 was not refreshed: {}", e.what()));
    }
    // many replicates share a training: the rest follow at the end
    if (clock::now() - now > std::chrono::seconds(1)) break;
  }
  live_.clear();
  next_refresh_ =
      clock::now() + std::max<clock::duration>(std::chrono::seconds(30), 20 * (clock::now() - now));
}

}  // namespace scorelab::cli
