#include "cli/observations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>

#include <algorithm>
#include <limits>
#include <set>

#include "manifest/read.h"
#include "params/walk.h"
#include "record/files.h"

namespace scorelab::cli {
namespace {

void costs_of(const std::string& kind, const Json& done, std::map<std::string, double>& out) {
  const auto take = [&](const char* field, const std::string& name) {
    if (done.contains(field) && done[field].is_number()) out[name] = done[field];
  };
  if (kind == "sample") {
    take("nfe", "nfe");
    take("sampling_seconds", "sample.seconds");
    take("peak_memory", "sample.peak_memory");
  } else if (kind == "train") {
    for (const char* field : {"seconds", "steps", "parameters", "peak_memory", "evaluations",
                              "vjps", "jvps", "loss", "loss_spread", "first_loss"})
      take(field, std::string("train.") + field);
  }
}

/// What a metric cost itself: `nll.nfe`, `nll.seconds`; a part of that name is the metric's own.
void costs_of_metric(const std::string& label, const Json& done, std::map<std::string, double>& out,
                     std::vector<compare::Quantity>& known) {
  const auto take = [&](const char* field, const char* name, const char* unit, const char* what) {
    const std::string full = label + "." + name;
    if (!done.contains(field) || !done[field].is_number() || out.contains(full)) return;
    out[full] = done[field];
    if (std::none_of(known.begin(), known.end(), [&](const auto& q) { return q.name == full; }))
      known.push_back({full, unit, "min", fmt::format("{} of measuring {}", what, label)});
  };
  take("measuring_seconds", "seconds", "s", "time");
  take("nfe", "nfe", "1", "network evaluations a point");
  take("vjps", "vjps", "1", "vector-Jacobian products a point");
  take("jvps", "jvps", "1", "Jacobian-vector products a point");
}

}  // namespace

compare::Data observations(const Launched& l) {
  compare::Data out;
  out.comparison = manifest::comparison_of(l.comparison);
  for (const auto& c : l.cells) {
    out.cells.push_back(c.at);
    out.chosen.push_back(c.chosen);
    out.trained = out.trained || c.resolved.contains("objective");
  }
  std::set<std::string> seen;
  std::vector<compare::Quantity> costs;
  for (const auto& r : l.replicates) {
    compare::Observation o{r.cell, r.train_seed, r.sample_seed, state_of(l, r), "", {}};
    for (const auto& s : r.stages) {
      const Json done = stored_result(l, s);
      if (done.is_null()) {
        if (const Json failure = stored(l, s, "failure.json");
            !failure.is_null() && o.failure.empty())
          o.failure = failure.value("message", "?");
        continue;
      }
      if (s.kind != "evaluate") {
        costs_of(s.kind, done, o.values);
        continue;
      }
      record::shaped(record::stage_folder(l.results, s.key) / "stage.json", [&] {
        for (const auto& v : done.at("values")) {
          const std::string name = v.at("name");
          o.values[name] = number_of(v.at("value"));
          if (!seen.insert(name).second) continue;
          out.metrics.push_back({name, v.at("unit"), v.at("goal"), v.value("long_name", "")});
        }
        costs_of_metric(s.what.substr(std::string("evaluate ").size()), done, o.values, costs);
      });
    }
    out.observations.push_back(std::move(o));
  }
  out.costs = compare::known_costs();
  out.costs.insert(out.costs.end(), costs.begin(), costs.end());
  return out;
}

Json runs_of(const Launched& l) {
  const auto data = observations(l);
  std::vector<Json> configs;
  for (const auto& cell : l.cells) {
    configs.push_back(schema::flat(cell.resolved));
    for (const char* said : {"name", "question"}) configs.back().erase(said);
  }
  Json out = Json::array();
  for (std::size_t i = 0; i < l.replicates.size(); ++i) {
    const auto& r = l.replicates[i];
    Json run{{"experiment", l.name},
             {"run", l.title(r)},
             {"seed", r.sample_seed},
             {"train_seed", r.train_seed},
             {"state", data.observations[i].state},
             {"launched", l.provenance["launched"]},
             {"folder", l.folder(r).string()}};
    for (const auto& [axis, label] : l.cells[r.cell].at) run["at"][axis] = label;
    for (const auto& m : measured(l, r)) run["metrics"][m["name"].get<std::string>()] = m["value"];
    for (const auto& q : compare::known_costs())
      if (const auto v = data.observations[i].values.find(q.name);
          v != data.observations[i].values.end())
        run["costs"][q.name] = v->second;
    run["config"] = configs[r.cell];
    out.push_back(std::move(run));
  }
  return out;
}

Json flat(const Json& run) {
  Json out = Json::object();
  for (const auto& [name, value] : run.items())
    if (!value.is_object()) out[name] = value;
  for (const char* group : {"at", "metrics", "costs", "config"}) {
    const auto found = run.find(group);
    if (found == run.end()) continue;
    for (const auto& [name, value] : found->items())
      if (!out.contains(name)) out[name] = value;
  }
  return out;
}

std::string experiment_name(const std::string& argument, const fs::path& results) {
  std::string name = argument;
  if (argument.size() > 5 && argument.ends_with(".toml")) {
    manifest::Sources sources;
    std::vector<manifest::Diagnostic> problems;
    const auto root = manifest::read_manifest(argument, sources, problems);
    if (!root) throw Error(problems.empty() ? argument : problems.front().message);
    const auto* own = root->find("name");
    name = own && own->kind == manifest::Node::Kind::string ? own->string
                                                            : fs::path(argument).stem().string();
  }
  if (!name.empty() && name.back() == '/') name.pop_back();
  if (name.rfind(results.string() + "/", 0) == 0) name = name.substr(results.string().size() + 1);
  if (fs::exists(results / name / "experiment.json")) return name;
  const std::string near = manifest::nearest(name, experiments(results));
  throw NothingThere(fmt::format("there is no experiment `{}` in {}{}", name, results.string(),
                                 near.empty() ? "; scorelab ls shows what there is"
                                              : fmt::format("; did you mean `{}`?", near)));
}

std::vector<std::string> warnings(const compare::Data& data, const compare::Table& table) {
  std::vector<std::string> out = table.notes;
  std::map<std::string, std::vector<std::string>> by_note;
  for (const auto& r : table.rows)
    for (const auto& note : r.notes) by_note[note].push_back(manifest::text(data.cells[r.cell]));
  for (const auto& [note, cells] : by_note)
    out.push_back(cells.size() < 4
                      ? fmt::format("{}: {}", fmt::join(cells, "; "), note)
                      : fmt::format("{} and {} more: {}", cells.front(), cells.size() - 1, note));
  return out;
}

}  // namespace scorelab::cli
