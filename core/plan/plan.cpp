#include "plan.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <set>

#include "params/sha256.h"
#include "params/tables.h"
#include "plan/stored.h"
#include "record/files.h"

namespace scorelab::plan {
namespace {

/// What a component adds to a key: who it is, and its active parameters that differ from their
/// default.
Json keyed(const Json& component) {
  return component.is_null() ? Json() : Json{{"id", component["id"]}, {"params", component["key"]}};
}

void replace_model(Json& key, const std::string& name, const Json& by) {
  if (key.is_object() && key.contains(manifest::model_mark) && key[manifest::model_mark] == name)
    key[manifest::model_mark] = by;
  if (key.is_structured())
    for (auto& inner : key) replace_model(inner, name, by);
}

/// The names of the models in a key.
void models_in(const Json& key, std::set<std::string>& out) {
  if (key.is_object() && key.contains(manifest::model_mark) &&
      key[manifest::model_mark].is_string())
    out.insert(key[manifest::model_mark].get<std::string>());
  if (key.is_structured())
    for (const auto& inner : key) models_in(inner, out);
}

class Planner {
 public:
  Planner(const manifest::Comparison& c, const fs::path& results) : c_(c), results_(results) {}

  Plan run(std::vector<CellPlan> cells) {
    plan_.name = c_.name;
    std::vector<std::string> searched;  // the cells of one search stand together
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const Coordinates at = without_best(cells[i].at);
      if (at.size() == cells[i].at.size()) {
        replicates(std::move(cells[i]));
      } else if (const std::string name = manifest::text(at);
                 std::find(searched.begin(), searched.end(), name) == searched.end()) {
        searched.push_back(name);
        search(at, cells);
      }
    }
    count_pending();
    finish();
    return std::move(plan_);
  }

 private:
  Coordinates without_best(const Coordinates& at) const {
    Coordinates out;
    for (const auto& place : at)
      if (const auto* axis = c_.axis(place.first); !axis || !axis->best) out.push_back(place);
    return out;
  }

  /// Does `f` for each pair of seeds that is reported.
  void for_seeds(const std::function<void(std::int64_t train, std::int64_t sample)>& f) const {
    const auto& seeds = c_.seeds;
    if (seeds.apart)
      for (const auto train : seeds.train)
        for (const auto sample : seeds.sample) f(train, sample);
    else
      for (const auto seed : seeds.sample) f(seed, seed);
  }

  void replicates(CellPlan cell) {
    plan_.cells.push_back(std::move(cell));
    const CellPlan& own = plan_.cells.back();
    const auto& seeds = c_.seeds;
    for_seeds([&](std::int64_t train, std::int64_t sample) {
      Replicate r{plan_.cells.size() - 1, train, sample, seeds.name(train, sample), "", {}, {}};
      const bool one = (seeds.apart ? seeds.train.size() : 1) * seeds.sample.size() == 1;
      if (!c_.single()) {
        for (const auto& [axis, label] : own.at)
          r.folder += folder_name(axis == "variant" ? label : axis + "=" + label) + "/";
        r.folder += r.name;
      } else if (!one) {
        r.folder = r.name;
      }
      r.stages = stages(own.experiment, own.at, train, sample, "");
      r.models = models_;
      plan_.replicates.push_back(std::move(r));
    });
  }

  /// What an undecided search leaves to be planned: what its first candidate would need beyond all
  /// that is planned.
  void count_pending() {
    const std::size_t planned = plan_.stages.size();
    for (const auto i : undecided_)
      for_seeds([&](std::int64_t train, std::int64_t sample) {
        stages(plan_.cells[i].experiment, plan_.cells[i].at, train, sample, "");
      });
    for (std::size_t i = planned; i < plan_.stages.size(); ++i)
      ++plan_.pending[plan_.stages[i].kind];
    plan_.stages.resize(planned);
    places_.resize(planned);
  }

  /// A label as a folder: different labels have different folders. What a path cannot hold is %NN.
  static std::string folder_name(const std::string& label) {
    constexpr std::size_t longest = 180;
    std::string out;
    for (const char c : label)
      out += c == '/' || c == '%' || c == '~'
                 ? fmt::format("%{:02X}", static_cast<unsigned char>(c))
                 : std::string(1, c);
    return out.size() <= longest ? out : out.substr(0, longest) + "~" + sha256(label).substr(0, 16);
  }

  /// The stages of one replicate; with `only`, those that one metric needs.
  std::vector<std::size_t> stages(const Experiment& e, const Coordinates& at,
                                  std::int64_t train_seed, std::int64_t sample_seed,
                                  const std::string& only) {
    e_ = &e;
    at_ = &at;
    indices_.clear();
    models_.clear();
    const std::string trained = e.objective.is_null() ? "" : train(train_seed);
    const auto asked = [&](const std::string& label) {
      return only.empty() || label == only || only.rfind(label + ".", 0) == 0;
    };
    bool samples = only.empty();
    for (const auto& [label, metric] : e.metrics.items())
      samples = samples || (asked(label) && metric["of"] != "model");
    const std::string sampled = samples && !e.sampler.is_null() ? sample(sample_seed, trained) : "";
    for (const auto& [label, metric] : e.metrics.items()) {
      if (!asked(label)) continue;
      if (metric["of"] == "model")
        measure(sample_seed, trained, label, metric);
      else if (!sampled.empty())
        evaluate(sample_seed, sampled, label, metric);
    }
    if (!trained.empty())
      std::erase_if(models_, [&](const auto& m) { return m.second == index_.at(trained); });
    return indices_;
  }

  void search(const Coordinates& at, const std::vector<CellPlan>& cells) {
    Search s;
    s.at = at;
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (cells[i].at.size() > at.size() && without_best(cells[i].at) == at) s.cells.push_back(i);
    const manifest::Axis* axis = nullptr;
    for (const auto& [name, label] : cells[s.cells.front()].at)
      if (const auto* a = c_.axis(name); a && a->best) {
        axis = a;
        s.axis += (s.axis.empty() ? "" : ", ") + name;
      }
    s.metric = axis->best->metric;
    bool measured = true;
    std::string goal = "min";
    std::size_t best = 0;
    double best_value = 0;
    for (const auto i : s.cells) {
      double sum = 0;
      for (const auto seed : axis->best->seeds) {
        const auto own = stages(cells[i].experiment, cells[i].at,
                                c_.seeds.apart ? c_.seeds.train.front() : seed, seed, s.metric);
        s.stages.insert(s.stages.end(), own.begin(), own.end());
        if (own.empty() || plan_.stages[own.back()].kind != "evaluate")
          throw Error(fmt::format("`best` chooses by `{}`, which is not measured at {}", s.metric,
                                  manifest::text(cells[i].at)));
        const auto value = measured_value(plan_.stages[own.back()], s.metric, goal);
        measured = measured && value;
        sum += value.value_or(0) / static_cast<double>(axis->best->seeds.size());
      }
      if (!measured) continue;
      s.values.emplace_back(chosen_label(cells[i].at, at), sum);
      const bool better = s.values.size() == 1 || std::isnan(best_value) ||
                          (goal == "max" ? sum > best_value : sum < best_value);
      if (better) {
        best = i;
        best_value = sum;
      }
    }
    if (measured) {
      s.chosen = chosen_label(cells[best].at, at);
      CellPlan cell = cells[best];
      cell.at = at;
      replicates(std::move(cell));
    } else {
      plan_.cells.push_back({at, cells[s.cells.front()].experiment});
      undecided_.push_back(plan_.cells.size() - 1);
    }
    plan_.searches.push_back(std::move(s));
  }

  static std::string chosen_label(const Coordinates& all, const Coordinates& without) {
    Coordinates own;
    for (const auto& place : all)
      if (std::find(without.begin(), without.end(), place) == without.end()) own.push_back(place);
    return manifest::text(own);
  }

  std::optional<double> measured_value(const Stage& stage, const std::string& metric,
                                       std::string& goal) const {
    const Json done = record::relabelled(record_of(results_, stage.key, "stage.json"), stage.what);
    if (done.is_null()) return {};
    const auto found = record::shaped(record::stage_folder(results_, stage.key) / "stage.json",
                                      [&]() -> std::optional<double> {
                                        for (const auto& v : done.at("values"))
                                          if (v.at("name") == metric) {
                                            goal = v.at("goal");
                                            return number_of(v.at("value"));
                                          }
                                        return {};
                                      });
    if (found) return found;
    throw Error(fmt::format("`best` chooses by `{}`, which the metric does not measure", metric));
  }

  Json model_key() const {
    Json key{{"dataset", keyed(e_->dataset)},
             {"scheduler", keyed(e_->scheduler)},
             {"network", keyed(e_->network)}};
    if (!e_->space.is_null()) key["space"] = keyed(e_->space);
    if (!e_->holdout.is_null())
      key["holdout"] = e_->holdout.is_object() ? keyed(e_->holdout) : e_->holdout;
    return key;
  }

  Json base(const std::string& kind, std::int64_t seed) const {
    Json spec{{"stage", kind},          {"experiment", c_.name},  {"seed", seed},
              {"run", e_->run},         {"dataset", e_->dataset}, {"scheduler", e_->scheduler},
              {"network", e_->network}, {"output", e_->output},   {"guides", Json::array()}};
    if (!e_->space.is_null()) spec["space"] = e_->space;
    if (!e_->holdout.is_null()) spec["holdout"] = e_->holdout;
    return spec;
  }

  /// `of_model`: the name in `[models]`, where it is one of these that is trained.
  std::string train(std::int64_t seed, const std::string& of_model = "") {
    Json key = model_key();
    key["output"] = e_->keys["output"];
    key["objective"] = keyed(e_->objective);
    key["train"] = e_->keys["train"];
    Json spec = base("train", seed);
    spec["objective"] = e_->objective;
    spec["train"] = e_->train;
    spec["ema"] = Json::array();
    spec["keep"] = Json::array();
    std::vector<std::string> parents;
    // its weights alone are of use: it is no model of the stage
    if (const std::string from = e_->train["from"]; from != "none") {
      auto [model_spec, by] = model(from);
      parents.push_back(model_spec["trained"]);
      key["train"]["from"] = std::move(by);
      spec["from"] = std::move(model_spec);
    }
    if (const std::string weights = e_->train["weights"]; !weights.empty())
      spec["files"][weights] = e_->files.at(weights);
    std::set<double> averages;
    if (!e_->sampler.is_null() || !of_model.empty())
      averages.insert(e_->sample["ema"].get<double>());
    for (const auto& metric : e_->metrics)
      if (metric["of"] == "model") averages.insert(metric["params"]["weights"].get<double>());
    averages.erase(0);
    for (const double ema : averages) spec["ema"].push_back(ema);
    if (!e_->sampler.is_null()) {
      spec["guides"] = e_->guides;
      if (e_->sample["step"] > 0) spec["keep"].push_back(e_->sample["step"]);
      spec["preview"] = {{"sampler", e_->sampler}, {"sample", e_->sample}};
      if (e_->train["preview_every"] > 0) {
        Json shown{keyed(e_->sampler), e_->keys["sample"]};
        for (const auto& guide : e_->guides) shown.push_back(keyed(guide));
        name_models(shown, spec, parents);
      }
    }
    return add("train", seed, of_model.empty() ? "train" : "train " + of_model, std::move(key),
               std::move(spec), std::move(parents));
  }

  /// A model of the manifest: trained once, with a seed of its own. Gives what a host needs to load
  /// it, and what stands for it in a key.
  std::pair<Json, Json> model(const std::string& name) {
    const Experiment* own = std::exchange(e_, e_->models.at(name).get());
    const std::string trained = e_->objective.is_null() ? "" : train(e_->sample["seed"], name);
    if (!trained.empty()) models_[name] = index_.at(trained);
    Json spec = base("model", 0);
    spec["sample"] = e_->sample;
    spec["trained"] = trained;
    Json key{{"model", trained.empty() ? model_key() : Json(trained)}, {"ema", e_->sample["ema"]}};
    e_ = own;
    return {std::move(spec), std::move(key)};
  }

  std::string sample(std::int64_t seed, const std::string& trained) {
    Json key{{"sampler", keyed(e_->sampler)},
             {"sample", e_->keys["sample"]},
             {"chunk", e_->run["chunk"]},
             {"model", trained.empty() ? model_key() : Json(trained)}};
    Json spec = base("sample", seed);
    if (!e_->guides.empty())
      for (const auto& guide : e_->guides) key["guides"].push_back(keyed(guide));
    if (e_->run["noise"] != "independent") key["noise"] = e_->run["noise"];
    spec["sampler"] = e_->sampler;
    spec["sample"] = e_->sample;
    spec["guides"] = e_->guides;
    spec["trained"] = trained;
    if (const std::string noise = e_->sample["noise"]; !noise.empty())
      spec["files"][noise] = e_->files.at(noise);
    return add("sample", seed, "sample", std::move(key), std::move(spec), {trained});
  }

  /// A metric of the model: no samples, and guides play no part.
  void measure(std::int64_t seed, const std::string& trained, const std::string& label,
               const Json& metric) {
    Json key{{"metric", keyed(metric)},
             {"chunk", e_->run["chunk"]},
             {"model", trained.empty() ? model_key() : Json(trained)}};
    Json spec = base("evaluate", seed);
    spec["metric"] = metric;
    spec["name"] = label;
    spec["trained"] = trained;
    add("evaluate", seed, "evaluate " + label, std::move(key), std::move(spec), {trained});
  }

  void evaluate(std::int64_t seed, const std::string& sampled, const std::string& label,
                const Json& metric) {
    Json key{{"metric", keyed(metric)}, {"samples", sampled}, {"count", e_->sample["count"]}};
    if (metric["traced"]) key["trace"] = e_->sample["trace"];
    Json spec = base("evaluate", seed);
    spec["metric"] = metric;
    spec["name"] = label;
    spec["sample"] = e_->sample;
    spec["sampled"] = sampled;
    add("evaluate", seed, "evaluate " + label, std::move(key), std::move(spec), {sampled});
  }

  /// Puts the models that a key names into the spec, their trainings before the stage, and what
  /// stands for them in place of their names.
  void name_models(Json& key, Json& spec, std::vector<std::string>& parents) {
    std::set<std::string> names;
    models_in(key, names);
    for (const auto& name : names) {
      auto [model_spec, model_key] = model(name);
      parents.push_back(model_spec["trained"]);
      replace_model(key, name, model_key);
      spec["models"][name] = std::move(model_spec);
    }
  }

  std::string add(const std::string& kind, std::int64_t seed, const std::string& what, Json key,
                  Json spec, std::vector<std::string> parents) {
    name_models(key, spec, parents);
    std::erase(parents, "");
    key["numerics"] = numerics;
    key["stage"] = kind;
    key["seed"] = seed;
    key["dtype"] = e_->run["precision"];
    const std::string hash = sha256(key.dump());
    const auto [it, fresh] = index_.try_emplace(hash, plan_.stages.size());
    if (std::find(indices_.begin(), indices_.end(), it->second) == indices_.end())
      indices_.push_back(it->second);
    if (fresh) {
      Stage stage{kind, hash, what, what, std::move(spec), false, "", {}, -1};
      stage.spec["key"] = hash;
      stage.spec["keyed"] = std::move(key);
      for (const auto& parent : parents) stage.after.push_back(index_.at(parent));
      compare_defaults(results_, stage);
      plan_.stages.push_back(std::move(stage));
      places_.push_back(*at_);
    } else {
      gather(plan_.stages[it->second].spec, spec);
      std::erase_if(places_[it->second], [&](const auto& place) {
        return std::find(at_->begin(), at_->end(), place) == at_->end();
      });
    }
    return hash;
  }

  /// Labels by what distinguishes a stage: the coordinates that all its cells share. Then what is
  /// done, and why the rest is not.
  void finish() {
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      Stage& s = plan_.stages[i];
      const std::string where = manifest::text(places_[i]);
      s.label = fmt::format("{}{}{} s{}", s.label, where.empty() ? "" : " ", where,
                            s.spec["seed"].dump());
      s.spec["label"] = s.label;
      std::string note = std::move(s.reason);
      s.done = is_done(results_, s, s.reason);
      if (s.done) s.reason = note;
    }
    estimate(plan_, results_);
  }

  const manifest::Comparison& c_;
  const fs::path& results_;
  const Experiment* e_ = nullptr;
  const Coordinates* at_ = nullptr;
  Plan plan_;
  std::vector<std::size_t> indices_;           // of the replicate at hand
  std::map<std::string, std::size_t> models_;  // its models -> their trainings
  std::vector<std::size_t> undecided_;         // cells that wait for a search
  std::map<std::string, std::size_t> index_;   // key -> stage
  std::vector<Coordinates> places_;            // what all cells of a stage share
};

}  // namespace

void gather(Json& all, const Json& more) {
  for (const char* list : {"ema", "keep"})
    if (all.contains(list))
      for (const auto& item : more.at(list))
        if (std::find(all[list].begin(), all[list].end(), item) == all[list].end())
          all[list].push_back(item);
  if (all["stage"] == "sample")
    for (const char* number : {"count", "trace", "max_nfe"})
      if (more.at("sample").at(number) > all["sample"][number])
        all["sample"][number] = more["sample"][number];
}

Plan make_plan(const manifest::Comparison& comparison, std::vector<CellPlan> cells,
               const fs::path& results) {
  return Planner(comparison, results).run(std::move(cells));
}

}  // namespace scorelab::plan
