#include "cli/observations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>

#include <algorithm>
#include <limits>

#include "manifest/read.h"
#include "record/files.h"

namespace scorelab::cli {
namespace {

double number(const Json& v) {
  if (v.is_number()) return v;
  const std::string word = v.is_string() ? v.get<std::string>() : "nan";
  const double inf = std::numeric_limits<double>::infinity();
  return word == "inf" ? inf : word == "-inf" ? -inf : std::numeric_limits<double>::quiet_NaN();
}

void costs_of(const std::string& kind, const Json& done, std::map<std::string, double>& out) {
  const auto take = [&](const char* field, const std::string& name) {
    if (done.contains(field) && done[field].is_number()) out[name] = done[field];
  };
  if (kind == "sample") {
    take("nfe", "nfe");
    take("sampling_seconds", "sample.seconds");
    take("peak_memory", "sample.peak_memory");
  } else if (kind == "train") {
    for (const char* field : {"seconds", "steps", "parameters", "peak_memory", "evaluations", "vjps", "jvps"})
      take(field, std::string("train.") + field);
  }
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
  std::vector<std::string> seen;
  for (const auto& r : l.replicates) {
    compare::Observation o{r.cell, r.train_seed, r.sample_seed, state_of(l, r), "", {}};
    for (const auto& s : r.stages) {
      const fs::path folder = record::stage_folder(l.results, s.key);
      const Json done = record::read_json(folder / "stage.json");
      if (done.is_null()) {
        if (const Json failure = record::read_json(folder / "failure.json"); !failure.is_null() && o.failure.empty())
          o.failure = failure["message"];
        continue;
      }
      if (s.kind != "evaluate") {
        costs_of(s.kind, done, o.values);
        continue;
      }
      for (const auto& v : done["values"]) {
        const std::string name = v["name"];
        o.values[name] = number(v["value"]);
        if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
        seen.push_back(name);
        out.metrics.push_back({name, v["unit"], v["goal"], v.value("long_name", "")});
      }
    }
    out.observations.push_back(std::move(o));
  }
  out.costs = compare::known_costs();
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
    name = own && own->kind == manifest::Node::Kind::string ? own->string : fs::path(argument).stem().string();
  }
  if (!name.empty() && name.back() == '/') name.pop_back();
  if (name.rfind(results.string() + "/", 0) == 0) name = name.substr(results.string().size() + 1);
  if (fs::exists(results / name / "experiment.json")) return name;
  const std::string near = manifest::nearest(name, experiments(results));
  throw NothingThere(fmt::format("there is no experiment `{}` in {}{}", name, results.string(),
                                 near.empty() ? "; scorelab ls shows what there is" : fmt::format("; did you mean `{}`?", near)));
}

std::vector<std::string> warnings(const compare::Data& data, const compare::Table& table) {
  std::vector<std::string> out = table.notes;
  std::map<std::string, std::vector<std::string>> by_note;
  for (const auto& r : table.rows)
    for (const auto& note : r.notes) by_note[note].push_back(manifest::text(data.cells[r.cell]));
  for (const auto& [note, cells] : by_note)
    out.push_back(cells.size() < 4 ? fmt::format("{}: {}", fmt::join(cells, "; "), note)
                                   : fmt::format("{} and {} more: {}", cells.front(), cells.size() - 1, note));
  return out;
}

}  // namespace scorelab::cli
