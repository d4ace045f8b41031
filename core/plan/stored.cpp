#include "plan/stored.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>

#include "params/tables.h"
#include "record/files.h"

namespace scorelab::plan {
namespace {

/// The work of a stage: optimiser steps, samples times steps, metrics.
double units(const Stage& s) {
  if (s.kind == "train")
    return s.spec["train"]["steps"].get<double>() * s.spec["train"]["batch"].get<double>();
  if (s.kind == "evaluate") return 1;
  const Json& p = s.spec["sampler"]["params"];
  double steps = 1;
  for (const char* name : {GridKeys::steps, GridKeys::nfe})
    if (p.contains(name) && p[name].is_number() && p[name] > 0) steps = p[name];
  return s.spec["sample"]["count"].get<double>() * steps;
}

std::string shown(const Json& value) {
  return value.is_object() ? value["plugin"].dump() : value.dump();
}

void compare(const Json& stored, const Json& now, const std::string& role, std::string& note) {
  if (stored["sha256"] != now["sha256"])
    note = fmt::format("~ {} {} was rebuilt; its version is the same, so results stay", role,
                       now["plugin"].get<std::string>());
  for (const auto& [name, value] : now["params"].items()) {
    if (!stored["params"].contains(name)) continue;
    const Json reporting = now.value("reporting", Json::array());
    if (std::find(reporting.begin(), reporting.end(), name) != reporting.end()) continue;
    const Json& old = stored["params"][name];
    const bool given = now["key"].contains(name) || stored["key"].contains(name);
    if (value.is_object() && old.is_object() && value["plugin"] == old["plugin"]) {
      compare(old, value, name, note);
    } else if (old != value && !given) {
      throw Error(
          fmt::format("the default of `{}` in {} `{}` {} was {} when stored results were made, "
                      "and is {} now; raise the plugin's version, so that they are made again",
                      name, role, now["plugin"].get<std::string>(),
                      now["version"].get<std::string>(), shown(old), shown(value)));
    }
  }
}

}  // namespace

Json record_of(const fs::path& results, const std::string& key, const char* name) {
  try {
    return record::read_json(record::stage_folder(results, key) / name);
  } catch (const record::Damaged&) {
    return {};
  }
}

void compare_defaults(const fs::path& results, Stage& stage) {
  const Json stored = record_of(results, stage.key, "spec.json");
  if (stored.is_null()) return;
  for (const char* role :
       {"dataset", "holdout", "space", "scheduler", "network", "objective", "sampler", "metric"})
    if (stage.spec.contains(role) && stored.contains(role) && stage.spec[role].is_object() &&
        stored[role].is_object())
      compare(stored[role], stage.spec[role], role, stage.reason);
}

void estimate(Plan& plan, const fs::path& results) {
  std::map<std::string, std::pair<double, double>> rates;  // -> seconds, units
  const auto names = [&](const Stage& s) {
    return s.kind + " " + s.spec["network"]["id"].get<std::string>() + " " +
           s.spec["dataset"]["id"].get<std::string>();
  };
  for (Stage& s : plan.stages) {
    if (!s.done) continue;
    const Json done = record_of(results, s.key, "stage.json");
    if (!done.contains("seconds")) continue;  // it is being extended
    s.seconds = number_of(done["seconds"]);
    for (const auto& name : {names(s), s.kind}) {
      rates[name].first += s.seconds;
      rates[name].second += units(s);
    }
  }
  for (Stage& s : plan.stages) {
    if (s.done) continue;
    for (const auto& name : {names(s), s.kind})
      if (const auto rate = rates.find(name);
          s.seconds < 0 && rate != rates.end() && rate->second.second > 0)
        s.seconds = rate->second.first / rate->second.second * units(s);
  }
}

namespace {

/// How many samples or paths a sampling is asked for.
std::int64_t asked(const Stage& stage, const char* what) {
  return stage.kind == "sample" ? stage.spec["sample"][what].get<std::int64_t>() : 0;
}

}  // namespace

bool is_done(const fs::path& results, const Stage& stage, std::string& why) try {
  const fs::path folder = record::stage_folder(results, stage.key), file = folder / "stage.json";
  const std::int64_t count = asked(stage, "count"), trace = asked(stage, "trace");
  const Json done = record::read_done(folder, count, trace);
  if (done.is_null()) {
    why = fs::exists(folder / "journal.jsonl") ? "begun, not finished" : "new";
    return false;
  }
  if (done.value("key", "") != stage.key) {
    why = file.string() + " is of another stage";
    return false;
  }
  return record::shaped(file, [&] {
    const Json& spec = stage.spec;
    const auto lacks = [&](const char* list, const Json& item) {
      const Json kept = done.value(list, Json::array());
      return std::find(kept.begin(), kept.end(), item) == kept.end();
    };
    if (stage.kind == "train") {
      for (const auto& rate : spec["ema"])
        if (lacks("ema", rate)) {
          why = fmt::format("the average {} was not kept", rate.dump());
          return false;
        }
      for (const auto& step : spec["keep"])
        if (lacks("keep", step) || !fs::exists(folder / "kept" / step.dump() / "checkpoint.h5")) {
          why = fmt::format("the checkpoint of step {} was not kept", step.dump());
          return false;
        }
      if (!fs::exists(folder / "checkpoint.h5")) {
        why = "its checkpoint is gone";
        return false;
      }
    }
    if (stage.kind != "sample") return true;
    if (done.at("count").get<std::int64_t>() < count) {
      why = fmt::format("{} of {} samples are stored", done["count"].dump(), count);
      return false;
    }
    if (done.contains("moments")) return true;
    if (done.value("trace", std::int64_t{0}) < trace) {
      why = fmt::format("the paths of {} of {} samples are stored",
                        done.value("trace", std::int64_t{0}), trace);
      return false;
    }
    if (!fs::exists(folder / "samples")) {
      why = "its samples are gone";
      return false;
    }
    if (trace > 0 && !fs::exists(folder / "trace.h5")) {
      why = "its paths are gone";
      return false;
    }
    return true;
  });
} catch (const record::Damaged& e) {
  why = e.what();
  return false;
}

}  // namespace scorelab::plan
