#include "cli/verdicts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/hosts.h"
#include "params/sha256.h"
#include "params/walk.h"

namespace scorelab::cli {
namespace {

/// Components named by what they are, not by where they lie.
Json without_files(Json value) {
  schema::for_each_component(value, [](Json& component) { component.erase("file"); });
  return value;
}

/// What only plugins can say, asked of one host at once; good verdicts are kept like schemas.
class Verdicts {
 public:
  /// Which verdicts later calls may have too: a refusal may have had passing causes, and a device
  /// may change.
  enum class Keep { always, good, never };

  explicit Verdicts(catalog::Catalog& catalog) : catalog_(catalog) {}

  void want(const std::string& key, const Json& question, Keep keep) {
    if (known_.contains(key)) return;
    if (auto verdict = catalog_.recall(key)) {
      known_[key] = std::move(*verdict);
      return;
    }
    known_[key] = Json();
    asked_.push_back({key, question, keep});
  }
  std::size_t wanted() const { return asked_.size(); }

  /// Asks for all that is wanted. False where the host ended instead: `lines` are what it said
  /// before, `code` how it ended.
  bool ask(std::vector<std::string>& lines, int& code) {
    if (asked_.empty()) return true;
    Json questions = Json::array();
    for (const auto& a : asked_) questions.push_back(a.question);
    lines = ask_host({"check"}, questions.dump(), code);
    const Json answers = lines.empty() ? Json() : Json::parse(lines.back(), nullptr, false);
    const bool answered = answers.is_array() && answers.size() == asked_.size();
    for (std::size_t i = 0; i < asked_.size(); ++i) {
      if (!answered) {
        known_.erase(asked_[i].key);
        continue;
      }
      known_[asked_[i].key] = answers[i];
      const bool good = !answers[i].is_object() || answers[i].contains("warnings");
      if (asked_[i].keep == Keep::always || (asked_[i].keep == Keep::good && good))
        catalog_.remember(asked_[i].key, answers[i]);
    }
    asked_.clear();
    return answered;
  }

  /// Null where it is not known.
  Json of(const std::string& key) const {
    const auto found = known_.find(key);
    return found == known_.end() ? Json() : found->second;
  }

 private:
  struct Asked {
    std::string key;
    Json question;
    Keep keep;
  };
  catalog::Catalog& catalog_;
  std::map<std::string, Json> known_;
  std::vector<Asked> asked_;
};

std::string key_of(const manifest::Doubt& d) {
  return "verdict:" + sha256(d.component["sha256"].get<std::string>() +
                             without_files(d.component["params"]).dump());
}

/// A host that ended while it checked parameters: whose fault it was.
void report_crash(const Doubts& doubts, const std::vector<std::string>& lines, int code,
                  manifest::Findings& findings) {
  std::string who = "a plugin", signal = fmt::format("the host ended with code {}", code);
  manifest::Position at = doubts.front().at;
  for (const auto& line : lines)
    if (const Json j = Json::parse(line, nullptr, false);
        j.is_object() && j.value("event", "") == "crash") {
      who = j["plugin"];
      signal = j["signal"];
    }
  for (const auto& d : doubts)
    if (who ==
        fmt::format("{} `{}`", d.component["kind"].get<std::string>(), schema::text(d.component)))
      at = d.at;
  findings.problem({at,
                    fmt::format("{} crashed while its parameters were checked ({})", who, signal),
                    "a fault in its check()",
                    {},
                    true});
}

/// Whether parameters go together.
void report_doubts(const Doubts& doubts, const Verdicts& verdicts, manifest::Findings& findings) {
  for (const auto& d : doubts) {
    const Json verdict = verdicts.of(key_of(d));
    if (verdict.is_null() || verdict.get_ref<const std::string&>().empty()) continue;
    findings.problem(
        {d.at,
         fmt::format("the parameters of {} `{}` do not go together",
                     d.component["kind"].get<std::string>(), schema::text(d.component)),
         verdict.get<std::string>(),
         {}});
  }
}

/// The models that a component, or one in its slots, names; also those whose name is the text of
/// another parameter.
void names_in(const Json& component, const manifest::Experiment& e, std::set<std::string>& out) {
  if (component.is_string() && e.models.contains(component.get<std::string>()))
    out.insert(component.get<std::string>());
  if (component.is_structured())
    for (const auto& inner : component) names_in(inner, e, out);
}

/// What every stage needs of an experiment, or of a model.
Json parts_of(const manifest::Experiment& e) {
  Json spec{{"run", e.run},
            {"dataset", e.dataset},
            {"scheduler", e.scheduler},
            {"network", e.network},
            {"output", e.output},
            {"guides", Json::array()},
            {"seed", 0}};
  if (!e.space.is_null()) spec["space"] = e.space;
  if (!e.holdout.is_null()) spec["holdout"] = e.holdout;
  return spec;
}

/// An experiment as a host sets it up; null where its guides, sampler or start need the weights of
/// a model.
Json spec_of(const manifest::Experiment& e) {
  if (e.dataset.is_null() || e.scheduler.is_null() || e.network.is_null()) return {};
  std::set<std::string> needed, judges;
  for (const Json* part : {&e.guides, &e.sampler, &e.sample}) names_in(*part, e, needed);
  if (!needed.empty()) return {};
  Json spec = parts_of(e);
  spec["guides"] = e.guides;
  if (e.sampler.is_null()) return spec;
  spec["sampler"] = e.sampler;
  spec["sample"] = e.sample;
  spec["metrics"] = e.metrics;
  names_in(e.metrics, e, judges);
  for (const auto& name : judges) {
    const manifest::Experiment& model = *e.models.at(name);
    spec["models"][name] = parts_of(model);
    spec["models"][name]["sample"] = model.sample;
    spec["models"][name]["trained"] = "";
  }
  if (const std::string noise = e.sample["noise"]; !noise.empty())
    spec["files"][noise] = e.files.at(noise);
  return spec;
}

std::string key_of(const Json& spec) { return "set-up:" + sha256(without_files(spec).dump()); }

/// Asks whether a process has levels enough, a network can halve the images, a file holds what it
/// should: only the parts themselves can say. They are set up once for each combination, the first
/// of them where there are many. Gives the key of each cell's verdict.
std::vector<std::string> want_wholes(const std::vector<plan::CellPlan>& cells, Verdicts& verdicts) {
  constexpr std::size_t most = 64;
  const std::size_t before = verdicts.wanted();
  std::vector<std::string> keys(cells.size());
  for (std::size_t i = 0; i < cells.size() && verdicts.wanted() - before < most; ++i) {
    const Json spec = spec_of(cells[i].experiment);
    if (spec.is_null()) continue;
    keys[i] = key_of(spec);
    const Json& device = spec["run"]["device"];
    verdicts.want(
        keys[i], spec,
        device == "auto" || device == "cpu" ? Verdicts::Keep::good : Verdicts::Keep::never);
  }
  return keys;
}

void report_wholes(const std::vector<plan::CellPlan>& cells, const std::vector<Doubts>& doubts,
                   const std::vector<std::string>& keys, const Verdicts& verdicts,
                   manifest::Findings& findings, Json& networks) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Json verdict = verdicts.of(keys[i]);
    if (!verdict.is_object()) continue;
    const auto place_of = [&](const std::string& who) {
      manifest::Position at;
      for (const auto& d : doubts[i])
        if (who == fmt::format("{} `{}`", d.component["kind"].get<std::string>(),
                               schema::text(d.component)))
          at = d.at;
      return at;
    };
    if (verdict.contains("warnings")) {
      for (const auto& w : verdict["warnings"]) {
        const std::string who = w.value("plugin", "");
        findings.warning({place_of(who), fmt::format("{}: {}", who, w.value("why", "")), "", {}});
      }
      if (verdict["network"].is_object() &&
          std::find(networks.begin(), networks.end(), verdict["network"]) == networks.end())
        networks.push_back(verdict["network"]);
      continue;
    }
    const std::string who = verdict.value("plugin", "");
    const manifest::Position at = place_of(who);
    findings.problem(
        {at, who.empty() ? verdict.value("why", "") : fmt::format("{} cannot be used here", who),
         who.empty() ? "" : verdict.value("why", ""),
         cells[i].at.empty()
             ? std::vector<std::string>{}
             : std::vector{fmt::format("in the cell {}", manifest::text(cells[i].at))},
         verdict.value("unavailable", false)});
  }
}

}  // namespace

Json ask_plugins(const std::vector<Doubts>& of_cells, const std::vector<plan::CellPlan>& cells,
                 catalog::Catalog& catalog, manifest::Findings& findings) {
  Json networks = Json::array();
  Doubts doubts;
  for (const auto& own : of_cells) doubts.insert(doubts.end(), own.begin(), own.end());
  if (doubts.empty()) return networks;
  Verdicts verdicts(catalog);
  std::vector<std::string> lines, keys(cells.size());
  int code = 0;
  const auto want = [&](bool together) {
    for (const auto& d : doubts) verdicts.want(key_of(d), d.component, Verdicts::Keep::always);
    if (together) keys = want_wholes(cells, verdicts);
  };
  const bool sound = findings.all().empty();
  want(sound);
  // what crashed in the parts together is for the stage that meets it, which names the plugin
  if (!verdicts.ask(lines, code)) {
    want(false);
    if (!verdicts.ask(lines, code)) {
      report_crash(doubts, lines, code, findings);
      return networks;
    }
  }
  report_doubts(doubts, verdicts, findings);
  if (sound && findings.all().empty())
    report_wholes(cells, of_cells, keys, verdicts, findings, networks);
  return networks;
}

}  // namespace scorelab::cli
