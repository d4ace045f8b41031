#include "plan.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>

#include "catalog/sha256.h"
#include "record/files.h"

namespace scorelab::plan {
namespace {

/// What a component adds to a key: who it is, and its active parameters that differ from their default.
Json keyed(const Json& component) { return component.is_null() ? Json() : Json{{"id", component["id"]}, {"params", component["key"]}}; }

class Planner {
 public:
  Planner(const Experiment& e, const fs::path& results) : e_(e), results_(results) {}

  Plan run() {
    plan_.name = e_.name;
    for (const auto seed : e_.seeds) {
      cell_ = {seed, e_.seeds.size() == 1 ? "" : fmt::format("s{}", seed), {}};
      const std::string trained = e_.objective.is_null() ? "" : train(seed);
      if (!e_.sampler.is_null()) {
        const std::string sampled = sample(seed, trained);
        for (const auto& [label, metric] : e_.metrics.items()) evaluate(seed, sampled, label, metric);
      }
      plan_.cells.push_back(cell_);
    }
    return std::move(plan_);
  }

 private:
  Json model_key() const { return {{"dataset", keyed(e_.dataset)}, {"scheduler", keyed(e_.scheduler)}, {"network", keyed(e_.network)}}; }

  Json base(const std::string& kind, std::int64_t seed) const {
    return {{"stage", kind},         {"experiment", e_.name}, {"seed", seed},
            {"run", e_.run},         {"dataset", e_.dataset}, {"scheduler", e_.scheduler},
            {"network", e_.network}, {"output", e_.output},   {"guides", Json::array()}};
  }

  std::string train(std::int64_t seed) {
    Json key = model_key();
    key["output"] = e_.keys["output"], key["objective"] = keyed(e_.objective), key["train"] = e_.keys["train"];
    Json spec = base("train", seed);
    spec["objective"] = e_.objective, spec["train"] = e_.train;
    spec["ema"] = Json::array();
    if (!e_.sampler.is_null()) {
      spec["guides"] = e_.guides;
      const double ema = e_.sample["ema"];
      if (ema > 0) spec["ema"].push_back(ema);
      spec["preview"] = {{"sampler", e_.sampler}, {"sample", e_.sample}};
    }
    return add("train", seed, "train", std::move(key), std::move(spec));
  }

  std::string sample(std::int64_t seed, const std::string& trained) {
    Json key{{"sampler", keyed(e_.sampler)},
             {"sample", e_.keys["sample"]},
             {"chunk", e_.run["chunk"]},
             {"model", trained.empty() ? model_key() : Json(trained)}};
    Json spec = base("sample", seed);
    if (!e_.guides.empty())
      for (const auto& guide : e_.guides) key["guides"].push_back(keyed(guide));
    if (e_.run["noise"] != "independent") key["noise"] = e_.run["noise"];
    spec["sampler"] = e_.sampler, spec["sample"] = e_.sample, spec["guides"] = e_.guides, spec["trained"] = trained;
    return add("sample", seed, "sample", std::move(key), std::move(spec));
  }

  void evaluate(std::int64_t seed, const std::string& sampled, const std::string& label, const Json& metric) {
    Json key{{"metric", keyed(metric)}, {"samples", sampled}, {"count", e_.sample["count"]}};
    Json spec = base("evaluate", seed);
    spec["metric"] = metric, spec["label"] = label, spec["sample"] = e_.sample, spec["sampled"] = sampled;
    add("evaluate", seed, "evaluate " + label, std::move(key), std::move(spec));
  }

  std::string add(const std::string& kind, std::int64_t seed, const std::string& label, Json key, Json spec) {
    key["numerics"] = numerics, key["stage"] = kind, key["seed"] = seed, key["dtype"] = e_.run["dtype"];
    Stage stage{kind, sha256(key.dump()), fmt::format("{} s{}", label, seed), std::move(spec), false, ""};
    stage.spec["key"] = stage.key, stage.spec["label"] = stage.label, stage.spec["keyed"] = std::move(key);
    stage.spec["name"] = spec_name(label);
    compare_defaults(stage);
    stage.done = is_done(results_, stage, stage.reason);
    const auto same = std::find_if(plan_.stages.begin(), plan_.stages.end(), [&](const Stage& s) { return s.key == stage.key; });
    cell_.stages.push_back(static_cast<std::size_t>(same - plan_.stages.begin()));
    const std::string out = stage.key;
    if (same == plan_.stages.end()) plan_.stages.push_back(std::move(stage));
    return out;
  }

  static std::string spec_name(const std::string& label) {
    return label.substr(label.rfind(' ') == std::string::npos ? 0 : label.rfind(' ') + 1);
  }

  /// The key leaves defaults out, so a stored stage must have been made with the same ones.
  void compare_defaults(Stage& stage) const {
    const Json stored = record::read_json(record::stage_folder(results_, stage.key) / "spec.json");
    if (stored.is_null()) return;
    for (const char* role : {"dataset", "scheduler", "network", "objective", "sampler", "metric"})
      if (stage.spec.contains(role) && stored.contains(role) && !stage.spec[role].is_null() && !stored[role].is_null())
        compare(stored[role], stage.spec[role], role, stage.reason);
  }

  static void compare(const Json& stored, const Json& now, const std::string& role, std::string& note) {
    if (stored["sha256"] != now["sha256"])
      note = fmt::format("~ {} {} was rebuilt; its version is the same, so results stay", role, now["plugin"].get<std::string>());
    for (const auto& [name, value] : now["params"].items()) {
      if (!stored["params"].contains(name)) continue;
      const Json& old = stored["params"][name];
      const bool given = now["key"].contains(name) || stored["key"].contains(name);
      if (value.is_object() && old.is_object() && value["plugin"] == old["plugin"]) {
        compare(old, value, name, note);
      } else if (old != value && !given) {
        throw Error(fmt::format(
            "the default of `{}` in {} `{}` {} was {} when stored results were made, and is {} now; raise the plugin's version, so "
            "that they are made again",
            name, role, now["plugin"].get<std::string>(), now["version"].get<std::string>(), shown(old), shown(value)));
      }
    }
  }

  static std::string shown(const Json& value) { return value.is_object() ? value["plugin"].dump() : value.dump(); }

  const Experiment& e_;
  fs::path results_;
  Plan plan_;
  Cell cell_{};
};

}  // namespace

bool is_done(const fs::path& results, const Stage& stage, std::string& why) {
  const Json done = record::read_json(record::stage_folder(results, stage.key) / "stage.json");
  if (done.is_null())
    return why = fs::exists(record::stage_folder(results, stage.key) / "journal.jsonl") ? "begun, not finished" : "new", false;
  if (stage.kind == "train")
    for (const auto& rate : stage.spec["ema"])
      if (std::find(done["ema"].begin(), done["ema"].end(), rate) == done["ema"].end())
        return why = fmt::format("the average {} was not kept", rate.dump()), false;
  if (stage.kind == "sample" && done["count"] < stage.spec["sample"]["count"])
    return why = fmt::format("{} of {} samples are stored", done["count"].dump(), stage.spec["sample"]["count"].dump()), false;
  if (stage.kind == "sample" && !done.contains("moments") && done.value("trace", 0) < stage.spec["sample"]["trace"])
    return why = fmt::format("the paths of {} of {} samples are stored", done.value("trace", 0), stage.spec["sample"]["trace"].dump()),
           false;
  return true;
}

Plan make_plan(const Experiment& experiment, const fs::path& results) { return Planner(experiment, results).run(); }

}  // namespace scorelab::plan
