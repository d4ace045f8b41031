#include "parts.h"

#include <fmt/format.h>
#include <scorelab/capabilities.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

/// The part of an experiment that gives a capability; empty where no part can.
std::string giver_of(const std::string& capability) {
  for (const auto& c : capability_names)
    if (c.name == capability) return std::string(c.giver);
  return "";
}

class Matcher {
 public:
  Matcher(const Node& root, const std::vector<Part>& parts, bool is_model, Experiment& experiment,
          Findings& findings)
      : root_(root), parts_(parts), is_model_(is_model), e_(experiment), findings_(findings) {}

  void run() {
    needs();
    if (!is_model_) exact_moments();
    run_table();
    const Part* network = part("network");
    if (!network) return;
    const bool trains = gives("network", "trains");
    classifiers(*network);
    training(*network, trains);
    conditions(*network);
    metrics_of_the_model(trains);
    densities();
    without_sampler(*network, trains);
  }

 private:
  /// What works on the model's values asks the space what it would ask the data set, unless the
  /// space is an affine map of it.
  std::string asked(const std::string& need, const std::string& role) const {
    const std::string giver = giver_of(need);
    const Part* space = part("space");
    if (giver != "dataset" || !space || space->has("affine-space") || role == "metric" ||
        role == "space" || role == "scheduler")
      return giver;
    return need == "items" || need == "labels" ? giver : "space";
  }

  void needs() {
    const bool trains = gives("network", "trains");
    for (const auto& p : parts_) {
      // it means nothing to them
      if ((!trains || gives("network", "classifies")) && p.role == "output") continue;
      for (const auto& need : p.schema.needs) {
        if ((!need.role.empty() && need.role != p.role) ||
            !schema::holds(need.whens, p.component["params"]))
          continue;
        std::string giver = asked(need.name, p.role);
        if (giver == "dataset" && part("holdout") &&
            p.component["params"].value("reference", "") == "holdout")
          giver = "holdout";
        const Part* provider = giver.empty() ? nullptr : part(giver);
        if (!provider || gives(giver, need.name) || (!trains && giver == "train")) continue;
        problem(p.at,
                fmt::format("{} `{}` does not go with {} `{}`", p.role, schema::text(p.component),
                            giver, schema::text(provider->component)),
                need.reason,
                {fmt::format("it needs {} {} with `{}`",
                             giver == "output" || giver == "objective" ? "an" : "a", giver,
                             need.name)});
      }
    }
  }

  void exact_moments() {
    if (const Node* sample = root_.find("sample");
        const Node* initial = sample ? sample->find("initial") : nullptr)
      if (initial->kind == Kind::string && initial->string == "none")
        problem(initial->at, "`initial` cannot be \"none\"",
                "a sampler starts somewhere, such as at the \"prior\"");
    if (e_.sample["moments"] != "exact") return;
    for (const auto& p : parts_) {
      if (p.role != "metric" && p.role != "initial" && p.role != "guide") continue;
      if (!p.has("exact-moments") && !p.has("on-model"))
        problem(p.at,
                fmt::format("{} `{}` does not go with sample.moments = \"exact\"", p.role,
                            schema::text(p.component)),
                p.role == "metric"  ? "it measures samples, and there are none"
                : p.role == "guide" ? "it is not affine, or does not say so"
                                    : "it states no moments");
    }
    if (part("dataset") && !gives("dataset", "gaussian-law"))
      problem(part("dataset")->at,
              fmt::format("dataset `{}` does not go with sample.moments = \"exact\"",
                          schema::text(part("dataset")->component)),
              "moments are propagated exactly for a Gaussian");
    if (const Part* space = part("space"); space && !space->has("affine-space"))
      problem(space->at,
              fmt::format("space `{}` does not go with sample.moments = \"exact\"",
                          schema::text(space->component)),
              "the result's moments are known in data units only by an affine map");
  }

  /// A classifier says no score: it is trained by its own loss, as a model of the manifest, and
  /// named where one is asked for.
  void classifiers(const Part& network) {
    e_.classifies = gives("network", "classifies");
    if (e_.classifies && !is_model_)
      problem(network.at,
              fmt::format("network `{}` is a classifier: it says no score",
                          schema::text(network.component)),
              "train it as a model, [models.NAME], and name it where a classifier is asked for");
    else if (const Part* objective = part("objective");
             e_.classifies && objective && !objective->asks("classifies"))
      problem(objective->at,
              fmt::format("objective `{}` does not go with network `{}`",
                          schema::text(objective->component), schema::text(network.component)),
              "a classifier is trained by an objective for classifiers, such as \"cross-entropy\"");
    for (const auto& p : parts_)
      for (const auto& param : p.schema.params) {
        if (param.type != "model" || !p.component["params"].contains(param.name) ||
            p.component["params"][param.name].is_null())  // it is missing, which was said
          continue;
        const auto model = e_.models.find(p.component["params"][param.name].get<std::string>());
        if (model == e_.models.end() || model->second->classifies == (param.slot == "classifies"))
          continue;
        problem(p.at,
                fmt::format("`{}` of {} `{}` names the model `{}`", param.name, p.role,
                            schema::text(p.component), model->first),
                param.slot == "classifies"
                    ? "it is no classifier; expected one, such as network = \"mlp-classifier\""
                    : "it is a classifier, which says no score");
      }
  }

  void training(const Part& network, bool trains) {
    for (const auto& p : parts_)
      if (p.inner && p.role == "network" && !p.has("trains"))
        problem(p.at, fmt::format("network `{}` cannot be trained", schema::text(p.component)),
                "it is exact, and an objective's own network learns; expected one such as \"mlp\"");
    if (trains && !root_.find("objective") && !findings_.misspelt.contains("objective"))
      problem(network.at,
              fmt::format("network `{}` is trained, but the manifest names no objective",
                          schema::text(network.component)),
              "such as objective = \"denoising-score-matching\"");
    if (trains) {
      if (const Node* sample = root_.find("sample"))
        if (const Node* ema = sample->find("ema")) findings_.used(ema->at, "ema of a network");
      for (const char* key : {"objective", "train", "output"}) findings_.used(key_at(key), key);
    } else {
      for (const char* key : {"objective", "train", "output"})
        if (root_.find(key))
          no_effect(key,
                    fmt::format("`{}` has no effect with network `{}`", key,
                                schema::text(network.component)),
                    "it is exact: nothing is trained; remove this");
      if (const Node* sample = root_.find("sample"))
        for (const auto& m : sample->members)
          // by its value's place: its key has a use as far as the table is concerned
          if (m.key == "ema")
            findings_.unused(m.value.at, "ema of a network",
                             {m.key_at,
                              fmt::format("`ema` has no effect with network `{}`",
                                          schema::text(network.component)),
                              "it is exact and has no weights",
                              {}});
      if (!is_model_ && e_.sample["step"] > 0)
        problem(root_.find("sample")->find("step")->at,
                "`step` names a checkpoint, but nothing is trained", "remove it");
      e_.objective = e_.train = e_.output = nullptr;
      e_.sample["ema"] = 0.0;
    }
    if (const auto from =
            trains ? e_.models.find(e_.train["from"].get<std::string>()) : e_.models.end();
        from != e_.models.end() && from->second->objective.is_null())
      problem(root_.find("train")->find("from")->at,
              fmt::format("`from` names the model `{}`, which has no weights", from->first),
              "its network is exact; name one that is trained");
    if (trains) first_weights();
    if (trains && e_.train["accumulate"] > e_.train["batch"])
      problem(
          root_.find("train")->find("accumulate")->at,
          fmt::format("`accumulate` is beyond the {} samples of a batch", e_.train["batch"].dump()),
          "a part holds at least one");
    if (trains && e_.train["accumulate"] > 1 && gives("objective", "batch-loss"))
      problem(root_.find("train")->find("accumulate")->at,
              fmt::format("`accumulate` does not go with objective `{}`",
                          schema::text(part("objective")->component)),
              "its loss is one number for the whole batch; remove it, or lower train.batch");
    if (trains && !is_model_ && e_.sample["step"] > e_.train["steps"])
      problem(root_.find("sample")->find("step")->at,
              fmt::format("`step` is beyond the training's {} steps", e_.train["steps"].dump()),
              "0 is the last one");
  }

  /// Where training starts from: the network's first weights, a model's or a file's.
  void first_weights() {
    const auto at = [&](const char* key) { return root_.find("train")->find(key)->at; };
    const Node* table = root_.find("train");
    const Node* given = table && table->kind == Kind::table ? table->find("weights") : nullptr;
    const bool file = given && !given->string.empty(), model = e_.train["from"] != "none";
    if (file && model)
      problem(at("weights"), "`weights` and `from` both say where training starts from",
              "remove one of them");
    if (!file && !e_.train["weights_map"].empty())
      problem(at("weights_map"), "`weights_map` renames tensors of no file", "set `weights`");
    for (const auto& entry : e_.train["weights_map"])
      if (const std::string text = entry; text.find('=') == text.npos || text.front() == '=')
        problem(at("weights_map"), fmt::format("`weights_map` has the entry \"{}\"", text),
                "expected OLD=NEW, such as \"model.=\"");
    if (e_.train["steps"] == 0 && !file && !model)
      problem(at("steps"), "`steps` is 0, and nothing says which weights to use",
              "set `weights` or `from`, or train for a step");
  }

  /// What a network that takes no condition is told of it has no effect.
  void conditions(const Part& network) {
    const bool own = e_.conditional = gives("network", "conditional");
    // A model that a part names is told the samples' conditions too.
    const bool conditional =
        own || std::any_of(e_.models.begin(), e_.models.end(),
                           [](const auto& m) { return m.second->conditional; });
    const auto only_conditional = [&](const char* table, const char* key, Json& options,
                                      bool told) {
      const Node* node = root_.find(table);
      if (!node || node->kind != Kind::table) return;
      const auto member = std::find_if(node->members.begin(), node->members.end(),
                                       [&](const auto& m) { return m.key == key; });
      if (member == node->members.end()) return;
      const Node* value = &member->value;
      const std::string use = fmt::format("{} of a conditional network", key);
      const Json initial = key == std::string("condition") ? Json("data") : Json(0.0);
      if (told || !options.is_object() || options[key] == initial)
        return findings_.used(value->at, use);
      options[key] = initial;
      if (e_.keys[table].is_object()) e_.keys[table].erase(key);
      findings_.unused(value->at, use,
                       {member->key_at,
                        fmt::format("`{}` has no effect with network `{}`", key,
                                    schema::text(network.component)),
                        "it takes no condition, such as a class label; networks that can have a "
                        "parameter for it",
                        {}});
    };
    const bool learns_with_one =
        own || std::any_of(parts_.begin(), parts_.end(), [](const Part& p) {
          return p.inner && p.role == "network" && p.has("conditional");
        });
    only_conditional("train", "drop_condition", e_.train, learns_with_one);
    if (is_model_) return;
    if (own && e_.train.is_object() && e_.train["drop_condition"] == 0.0) without_condition();
    only_conditional("sample", "condition", e_.sample, conditional);
    const Json& which = e_.sample["condition"];
    if (!which.is_number()) return;
    if (which.get<double>() != std::floor(which.get<double>()))
      problem(root_.find("sample")->find("condition")->at, "`condition` is no whole number",
              "expected a class, or data, balanced or none");
    const Json classes = network.component["params"].value("classes", Json());
    if (own && classes.is_number() && which >= classes)
      problem(root_.find("sample")->find("condition")->at,
              fmt::format("`condition` is beyond the network's {} classes", classes.dump()),
              fmt::format("from 0 to {}", classes.get<std::int64_t>() - 1));
  }

  /// A network that was always told has not learnt to do without.
  void without_condition() {
    const std::string hint =
        "no conditions were dropped in training, so the network cannot do without; set "
        "train.drop_condition";
    if (e_.sample["condition"] == "none")
      problem(root_.find("sample")->find("condition")->at, "`condition` is \"none\"", hint);
    for (const auto& [label, metric] : e_.metrics.items())
      if (metric["of"] == "model") {
        const Node* node = metric_table(label);
        problem(node ? node->at : key_at("metrics"),
                fmt::format("metric `{}` asks the model without a condition", label), hint);
      }
  }

  /// Grey levels have no density: a model that learns it better and better says so without end.
  void densities() {
    const Part* data = part("dataset");
    if (!data || !data->has("images") || data->component["params"].value("dequantise", true))
      return;
    for (const auto& p : parts_)
      if (p.role == "metric" && p.has("density"))
        findings_.warning(
            {p.at,
             fmt::format("metric `{}` measures a density, but the model learns grey levels",
                         schema::text(p.component)),
             "set dequantise = true in `dataset`, or its number compares with none of a paper",
             {}});
  }

  void without_sampler(const Part& network, bool trains) {
    if (root_.find("sampler"))
      for (const char* key : {"guides", "sample", "metrics"}) findings_.used(key_at(key), key);
    if (!root_.find("sampler") && !findings_.misspelt.contains("sampler")) {
      if (root_.find("guides"))
        no_effect("guides", "`guides` has no effect: the manifest names no sampler",
                  "such as sampler = \"ancestral\"");
      if (root_.find("sample"))
        no_effect("sample", "`sample` has no effect: the manifest names no sampler",
                  "such as sampler = \"ancestral\"");
      if (root_.find("metrics") && !measures_model())
        no_effect("metrics", "`metrics` needs samples, but the manifest names no sampler",
                  "such as sampler = \"ancestral\"");
      if (!trains && !root_.find("guides") && !root_.find("sample") && !root_.find("metrics") &&
          !is_model_)
        problem(network.at,
                "there is nothing to do: nothing is trained, and the manifest names no sampler",
                "such as sampler = \"ancestral\"");
    }
  }

  void run_table() {
    if (const Json& threads = e_.run["threads"];
        threads.is_number() && threads.get<double>() != std::floor(threads.get<double>()))
      problem(root_.find("run")->find("threads")->at, "`threads` is no whole number",
              "expected an integer or \"auto\"");
    const Json& device = e_.run["device"];
    const std::string d = device.is_string() ? device.get<std::string>() : "";
    const bool indexed = d.rfind("cuda:", 0) == 0 && d.size() > 5 &&
                         d.find_first_not_of("0123456789", 5) == std::string::npos;
    if (d != "auto" && d != "cpu" && d != "cuda" && !indexed)
      problem(root_.find("run")->find("device")->at, fmt::format("`device` cannot be \"{}\"", d),
              "expected auto, cpu, cuda or cuda:i");
    if (d == "cpu" && e_.run["precision"] == "tf32")
      problem(root_.find("run")->find("precision")->at,
              "`precision` is \"tf32\", and `device` is \"cpu\"",
              "tf32 is how GPUs multiply; expected float32, bf16 or float64");
  }

  bool measures_model() const {
    const auto& all = e_.metrics;
    return std::any_of(all.begin(), all.end(), [](const Json& m) { return m["of"] == "model"; });
  }

  const Node* metric_table(const std::string& label) const {
    const Node* all = root_.find("metrics");
    if (all->kind == Kind::table) return all->find(label);
    for (const auto& item : all->items)
      if (const Node* plugin = item.find("plugin"); plugin && plugin->string == label) return &item;
    return nullptr;
  }

  /// Beside metrics of the model those of samples need a sampler; an exact network has no weights
  /// to choose.
  void metrics_of_the_model(bool trains) {
    for (auto& [label, metric] : e_.metrics.items()) {
      const Node* node = metric_table(label);
      if (metric["of"] == "samples") {
        const Position at = node ? node->at : key_at("metrics");
        if (root_.find("sampler"))
          findings_.used(at, "metric " + label);
        else if (measures_model() && !findings_.misspelt.contains("sampler"))
          findings_.unused(
              at, "metric " + label,
              {at,
               fmt::format("metric `{}` needs samples, but the manifest names no sampler", label),
               "such as sampler = \"ancestral\"",
               {}});
        continue;
      }
      const Node* weights = node ? node->find("weights") : nullptr;
      if (trains) {
        if (weights) findings_.used(weights->at, "weights of a network");
        continue;
      }
      metric["params"]["weights"] = 0.0;
      metric["key"].erase("weights");
      if (weights)
        findings_.unused(
            weights->at, "weights of a network",
            {weights->at,
             fmt::format("`weights` has no effect with network `{}`", schema::text(e_.network)),
             "it is exact and has no weights",
             {}});
    }
  }

  void problem(const Position& at, std::string message, std::string hint,
               std::vector<std::string> notes = {}) {
    findings_.problem({at, std::move(message), std::move(hint), std::move(notes), false});
  }

  /// A key of the top level that has no effect here, though it may in another cell.
  void no_effect(const std::string& key, const std::string& message, const std::string& hint) {
    findings_.unused(key_at(key), key, {key_at(key), message, hint, {}});
  }

  Position key_at(const std::string& key) const {
    for (const auto& m : root_.members)
      if (m.key == key) return m.key_at;
    return root_.at;
  }

  bool gives(const std::string& provider, const std::string& capability) const {
    for (const auto& part : parts_) {
      if (part.role != provider || part.inner) continue;
      if (part.has(capability)) return true;
    }
    return false;
  }
  const Part* part(const std::string& role) const {
    for (const auto& p : parts_)
      if (p.role == role && !p.inner) return &p;
    return nullptr;
  }

  const Node& root_;
  const std::vector<Part>& parts_;
  const bool is_model_;
  Experiment& e_;
  Findings& findings_;
};

}  // namespace

bool Part::has(const std::string& capability) const {
  return std::any_of(schema.gives.begin(), schema.gives.end(), [&](const auto& g) {
    return g.name == capability && schema::holds(g.whens, component["params"]);
  });
}

bool Part::declares(const std::string& capability) const {
  return std::any_of(schema.gives.begin(), schema.gives.end(),
                     [&](const auto& g) { return g.name == capability; });
}

bool Part::asks(const std::string& capability) const {
  return std::any_of(schema.needs.begin(), schema.needs.end(),
                     [&](const auto& n) { return n.name == capability; });
}

void match_parts(const Node& root, const std::vector<Part>& parts, bool is_model,
                 Experiment& experiment, Findings& findings) {
  Matcher(root, parts, is_model, experiment, findings).run();
}

}  // namespace scorelab::manifest
