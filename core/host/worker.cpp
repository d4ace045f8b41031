#include "host/worker.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "host/stage.h"
#include "setup/component.h"
#include "setup/crash.h"
#include "setup/device.h"
#include "setup/generator.h"
#include "setup/weights.h"

namespace scorelab::host {
namespace {

namespace fs = std::filesystem;

/// The largest memory since the last reset, in bytes: of the device that the stage ran on; on the
/// CPU the resident memory of this process, which serves many stages.
double peak_memory(at::Device device) {
  if (!device.is_cpu()) {
    const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    return static_cast<double>(stats.allocated_bytes[0].peak);  // of all pools together
  }
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) * 1024;
  return 0;
}
void reset_peak_memory(at::Device device) {
  if (device.is_cpu())
    std::ofstream("/proc/self/clear_refs") << 5;
  else
    c10::getDeviceAllocator(device.type())->resetPeakStats(device.index());
}

/// `auto` is resolved once a stage and kept, so that a stage that goes on has the arithmetic it
/// began with.
Json resolve(const fs::path& folder, const Json& spec) {
  Json known = record::read_json(folder / "resolved.json");
  const std::string asked = spec.at("run").at("device");
  if (known.is_null()) {
    const at::Device device = resolve_device(asked);
    set_precision(spec.at("run").at("precision"), device);
    known = {{"device", device.str()}};
    const Json& threads = spec.at("run").at("threads");
    if (threads.is_number()) known["threads"] = threads.get<std::int64_t>();
    record::write_json(folder / "resolved.json", known);
  } else {
    resolve_device(known["device"]);
  }
  at::set_num_threads(known.value("threads", 1));
  return known;
}

constexpr int busy = -1, not_ready = -2;

/// What went wrong, for people.
std::string explained(const std::string& message) {
  for (const char* mark :
       {"can't allocate memory", "out of memory", "std::bad_alloc", "bad allocation"})
    if (message.find(mark) != message.npos)
      return "out of memory: lower train.batch, run.chunk or sample.count; what was checkpointed "
             "before is kept\n  it said: " +
             message;
  return message;
}

/// Keeps the failure beside the stage, where that is possible, and reports it.
void fail(const fs::path& folder, const std::string& key, const record::Claim& claim,
          const std::string& what) {
  std::string message = explained(what);
  try {
    if (claim.in_place())
      record::write_json(folder / "failure.json",
                         Json{{"message", message}, {"time", record::now()}});
  } catch (const std::exception& e) {
    message += fmt::format("\n  and the failure could not be recorded: {}", e.what());
  }
  say({{"event", "failed"}, {"stage", key}, {"message", message}, {"exit", 1}});
}

/// Runs the stage's own work, and stores that it is done.
Json made(const fs::path& results, const std::string& key, const record::Claim& claim,
          const std::atomic<bool>& stop) {
  const auto begin = std::chrono::steady_clock::now();
  const fs::path folder = record::stage_folder(results, key);
  record::remove_stale(folder);
  const Json spec = record::read_json(folder / "spec.json");
  if (!spec.is_null() && spec.value("key", "") != key)
    throw record::Damaged(folder / "spec.json", "it is of another stage");
  if (spec.is_null())
    throw Error((folder / "spec.json").string() + " was removed; the same command makes it again");
  say({{"event", "start"}, {"stage", key}});
  record::Journal journal(folder / "journal.jsonl");
  StageRun run{results, folder, spec, journal, stop, {}, {}};
  auto last = begin - std::chrono::hours(1);
  run.progress = [&](std::int64_t done, std::int64_t total, Json more) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(100) && done < total) return;
    last = now;
    more.update({{"event", "progress"}, {"stage", key}, {"done", done}, {"total", total}});
    say(more);
  };
  run.resolved = resolve(folder, spec);
  const at::Device device(run.resolved["device"].get<std::string>());
  set_precision(spec.at("run").at("precision"), device);
  const KeepGenerator generator(device);
  reset_peak_memory(device);
  const std::string kind = spec.at("stage");
  static const std::map<std::string, Json (*)(StageRun&)> kinds{
      {"train", run_train}, {"sample", run_sample}, {"evaluate", run_evaluate}};
  if (!kinds.contains(kind)) throw Error(fmt::format("there is no stage of the kind `{}`", kind));
  Json result = kinds.at(kind)(run);
  if (generator.changed()) {
    for (const char* made :
         {"samples", "trace.h5", "previews", "kept", "checkpoint.h5", "checkpoint.previous.h5"})
      fs::remove_all(folder / made);
    throw Error(
        "a plugin drew from LibTorch's default generator, so that this result cannot be made again "
        "and was not kept; every draw belongs to the Noise that it is handed");
  }
  result.update(
      {{"stage", kind},
       {"key", key},
       {"label", spec.at("label")},
       {"finished", record::now()},
       {"resolved", run.resolved},
       {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()},
       {"peak_memory", peak_memory(device)}});
  journal.sync();
  if (!claim.in_place() || !journal.in_place())
    throw Error(
        "its folder or its journal was removed while it was at work; the same command makes it "
        "again");
  record::write_json(folder / "stage.json", result);
  return result;
}

int run_stage(const fs::path& results, const std::string& key, const std::atomic<bool>& stop) {
  const fs::path folder = record::stage_folder(results, key);
  const record::Claim claim(folder, true);
  if (!claim.held()) {
    say({{"event", "busy"}, {"stage", key}});
    return busy;
  }
  try {
    // another host was faster
    if (const Json other = record::read_json(folder / "stage.json"); !other.is_null()) {
      say({{"event", "done"}, {"stage", key}, {"result", other}});
      return 0;
    }
    if (fs::exists(folder / "failure.json")) return busy;  // or failed before this one
    say({{"event", "done"}, {"stage", key}, {"result", made(results, key, claim, stop)}});
    return 0;
  } catch (const Stopped&) {
    say({{"event", "stopped"}, {"stage", key}});
    return 75;
  } catch (const NotReady&) {
    say({{"event", "busy"}, {"stage", key}});
    return not_ready;
  } catch (const DeviceUnavailable& e) {
    say({{"event", "failed"}, {"stage", key}, {"message", e.what()}, {"exit", 4}});
    return 4;
  } catch (const c10::Error& e) {
    fail(folder, key, claim, e.what_without_backtrace());
  } catch (const std::exception& e) {
    fail(folder, key, claim, e.what());
  }
  return 1;
}

/// The stages that one needs: those before it, and the trainings of the models that it names.
std::vector<std::string> parents_of(const Json& spec) {
  std::vector<std::string> out;
  if (spec.is_null()) return out;
  for (const char* before : {"trained", "sampled"}) out.push_back(spec.value(before, ""));
  if (spec.contains("models"))
    for (const auto& model : spec["models"]) out.push_back(model.value("trained", ""));
  std::erase(out, "");
  return out;
}

/// Whether a parent is done as far as the stage of `spec` needs it. A damaged record is told of
/// when that begins.
bool has_what_it_needs(const fs::path& parent, const Json& spec) try {
  const Json sample = spec.value("sample", Json::object());
  return !record::read_done(parent, sample.value("count", std::int64_t{0}),
                            sample.value("trace", std::int64_t{0}))
              .is_null();
} catch (const record::Damaged&) {
  return true;
}

/// Where a stage stands for this host: to be begun, done, failed, waiting for one before it, or
/// after one that was done when it was planned, was taken back by another run, and that nobody
/// makes.
enum class Stand { ready, done, failed, waits, lacks };

Stand stand_of(const fs::path& results, const std::string& key, const std::set<std::string>& mine,
               std::set<std::string>& hopeless) {
  const fs::path folder = record::stage_folder(results, key);
  if (fs::exists(folder / "stage.json")) return Stand::done;
  if (hopeless.contains(key) || fs::exists(folder / "failure.json")) {
    hopeless.insert(key);
    return Stand::failed;
  }
  Json spec;
  try {
    spec = record::read_json(folder / "spec.json");
  } catch (const Error&) {  // said when it is begun
    return Stand::ready;
  }
  for (const std::string& parent : parents_of(spec)) {
    const fs::path stage = record::stage_folder(results, parent);
    if (has_what_it_needs(stage, spec)) continue;
    if (hopeless.contains(parent) || fs::exists(stage / "failure.json")) {
      hopeless.insert(key);
      return Stand::failed;
    }
    if (mine.contains(parent) || record::is_claimed(stage)) return Stand::waits;
    if (!has_what_it_needs(stage, spec)) return Stand::lacks;  // nor was it done meanwhile
  }
  return Stand::ready;
}

}  // namespace

int work(const fs::path& results, const std::vector<std::string>& keys, std::size_t host,
         std::size_t hosts, std::size_t max_failures, std::atomic<bool>& stop) {
  const std::set<std::string> mine(keys.begin(), keys.end());
  std::set<std::string> over, hopeless;  // done or failed; failed, or after one that has
  share_cores(host, hosts);
  std::size_t failed = 0;
  while (true) {
    bool progress = false, waits = false, lacks = false;
    for (const auto& key : keys) {
      if (stop.load()) return 75;
      if (over.contains(key)) continue;
      const Stand stand = stand_of(results, key, mine, hopeless);
      if (stand == Stand::done || stand == Stand::failed) over.insert(key);
      waits = waits || stand == Stand::waits;
      lacks = lacks || stand == Stand::lacks;
      if (stand != Stand::ready) continue;
      int code = 1;
      try {
        code = run_stage(results, key, stop);
      } catch (const std::exception& e) {  // its folder cannot be claimed
        say({{"event", "failed"}, {"stage", key}, {"message", e.what()}, {"exit", 1}});
      }
      if (code == 4 || code == 75) return code;
      progress = progress || code == 0 || code == 1;
      failed += code == 1;
      if (max_failures > 0 && failed >= max_failures) return 1;
      if (code == 1) hopeless.insert(key);
      waits = waits || code == busy;
      lacks = lacks || code == not_ready;
    }
    if (progress) continue;
    if (!waits || lacks) return failed > 0 ? 1 : 0;  // what is lacking the front end asks for again
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace scorelab::host
