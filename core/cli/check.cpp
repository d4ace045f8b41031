#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <tuple>

#include "catalog/sha256.h"
#include "cli/command.h"
#include "cli/hosts.h"
#include "cli/terminal.h"
#include "compare/verdict.h"
#include "manifest/read.h"
#include "report/figure_keys.h"

namespace scorelab::cli {
namespace {

/// What the host says about files; one that crashes it is asked alone, so that its neighbours are not blamed.
std::vector<Json> ask_schemas(const std::vector<fs::path>& files) {
  std::vector<std::string> arguments{"describe"};
  for (const auto& f : files) arguments.push_back(f.string());
  int code = 0;
  const auto lines = ask_host(arguments, "", code);
  std::vector<Json> out;
  for (const auto& line : lines)
    if (Json j = Json::parse(line, nullptr, false); j.is_object() && !j.contains("event")) out.push_back(std::move(j));
  if (out.size() == files.size()) return out;
  if (files.size() == 1) return {Json{{"error", fmt::format("crashes when it is loaded or made (the host ended with code {})", code)}}};
  out.clear();
  for (const auto& f : files) out.push_back(ask_schemas({f}).front());
  return out;
}

/// Parameters with the plugins in their slots named by what they are, not by where they lie.
Json without_files(Json value) {
  if (value.is_object()) value.erase("file");
  if (value.is_structured())
    for (auto& inner : value) inner = without_files(inner);
  return value;
}

/// Whether parameters go together only the plugin can say; its verdicts are kept like schemas.
void resolve_doubts(const std::vector<manifest::Doubt>& doubts, catalog::Catalog& catalog, manifest::Findings& findings) {
  Json unknown = Json::array();
  std::vector<std::string> keys, asked;
  for (const auto& d : doubts) {
    keys.push_back("verdict:" + sha256(d.component["sha256"].get<std::string>() + without_files(d.component["params"]).dump()));
    if (catalog.recall(keys.back()) || std::find(asked.begin(), asked.end(), keys.back()) != asked.end()) continue;
    asked.push_back(keys.back());
    unknown.push_back(d.component);
  }
  if (!unknown.empty()) {
    int code = 0;
    const auto lines = ask_host({"check"}, unknown.dump(), code);
    const Json answers = lines.empty() ? Json() : Json::parse(lines.back(), nullptr, false);
    if (answers.is_array() && answers.size() == asked.size()) {
      for (std::size_t i = 0; i < asked.size(); ++i) catalog.remember(asked[i], answers[i]);
    } else {
      std::string who = "a plugin", signal = fmt::format("the host ended with code {}", code);
      manifest::Position at = doubts.front().at;
      for (const auto& line : lines)
        if (const Json j = Json::parse(line, nullptr, false); j.is_object() && j.value("event", "") == "crash")
          who = j["plugin"], signal = j["signal"];
      for (const auto& d : doubts)
        if (who == fmt::format("{} `{}`", d.component["kind"].get<std::string>(), schema::text(d.component))) at = d.at;
      findings.problem(
          {at, fmt::format("{} crashed while its parameters were checked ({})", who, signal), "a fault in its check()", {}, true});
    }
  }
  for (std::size_t i = 0; i < doubts.size(); ++i) {
    const auto verdict = catalog.recall(keys[i]);
    if (!verdict || *verdict == "") continue;
    findings.problem({doubts[i].at,
                      fmt::format("the parameters of {} `{}` do not go together", doubts[i].component["kind"].get<std::string>(),
                                  schema::text(doubts[i].component)),
                      verdict->get<std::string>(),
                      {}});
  }
}

int report(const std::vector<manifest::Diagnostic>& problems, const manifest::Sources& sources, bool json) {
  bool only_unavailable = true;
  Json list = Json::array();
  for (const auto& p : problems) {
    only_unavailable = only_unavailable && p.unavailable;
    std::string text = render(p, sources);
    if (colours(STDERR_FILENO) && text.rfind("error:", 0) == 0) text = red("error:", STDERR_FILENO) + text.substr(6);
    if (json)
      list.push_back({{"message", p.message},
                      {"hint", p.hint},
                      {"notes", p.notes},
                      {"line", p.at.line},
                      {"column", p.at.column},
                      {"file", p.at.source >= 0 ? sources.name(p.at.source) : ""}});
    else
      std::cerr << text;
  }
  if (json)
    std::cout << Json{{"schema", 1}, {"ok", false}, {"problems", list}}.dump(1) << "\n";
  else
    std::cerr << fmt::format("{} {}; nothing was started\n", problems.size(), problems.size() == 1 ? "error" : "errors");
  return only_unavailable ? unavailable : usage;
}

}  // namespace

catalog::Catalog open_catalog(const std::vector<fs::path>& folders) {
  return catalog::Catalog(folders, catalog::built_in_plugins(), ask_schemas);
}

void ManifestArguments::add(CLI::App& verb, std::vector<std::string>* files) {
  if (files)
    verb.add_option("manifests", *files, "the experiments' TOML files")->required();
  else
    verb.add_option("manifest", file, "the experiment's TOML file")->required();
  verb.add_option("-s,--set", overrides, "key=value: overrides the manifest, such as -s train.lr=1e-4")->allow_extra_args(false);
  verb.add_option("-x,--sweep", axes, "key=v1,v2: one more axis, such as -x sampler.steps=10,20")->allow_extra_args(false);
}

int load_manifest(const ManifestArguments& arguments, bool json, Loaded& out) {
  std::vector<manifest::Diagnostic> problems;
  auto root = manifest::read_manifest(arguments.file, out.sources, problems);
  std::vector<manifest::Node> overrides;
  for (const auto& argument : arguments.overrides)
    if (auto over = manifest::read_override(argument, out.sources, problems)) overrides.push_back(std::move(*over));
  for (const auto& argument : arguments.axes)
    if (const auto axis = manifest::read_axis(argument, out.sources, problems); axis && root) merge(*root, *axis, manifest::Merge::keep);
  if (!root) return report(problems, out.sources, json);
  for (const auto& over : overrides) {  // what an experiment has is overridden in every cell
    const auto& first = over.members.front().key;
    if (std::find(manifest::experiment_keys.begin(), manifest::experiment_keys.end(), first) == manifest::experiment_keys.end())
      merge(*root, over, manifest::Merge::extend);
  }
  out.text = out.sources.text(0);
  const int code = load_tree(*root, overrides, fs::path(arguments.file).stem().string(), json, std::move(problems), out);
  if (code == done && out.comparison.single())
    for (const auto& [cell, keys] : out.left_out)
      for (const auto& key : keys) std::cerr << fmt::format("left out: {}\n", key);
  return code;
}

int load_tree(const manifest::Node& root, const std::vector<manifest::Node>& overrides, const std::string& name, bool json,
              std::vector<manifest::Diagnostic> problems, Loaded& out) {
  manifest::Findings findings(out.sources);
  for (auto& p : problems) findings.problem(std::move(p));
  out.comparison = manifest::read_comparison(root, name, findings);
  const auto cells = manifest::expand(out.comparison, root, overrides, findings);
  auto catalog = open_catalog(manifest::plugin_folders(root, out.sources));
  std::vector<const manifest::Node*> experiments;
  for (const auto& cell : cells) experiments.push_back(&cell.root);
  manifest::learn_schemas(experiments, catalog);
  std::vector<manifest::Doubt> doubts;
  for (const auto& cell : cells) {
    auto checked = manifest::check(cell.root, catalog, findings);
    for (const auto& d : checked.doubts)
      out.plugins[fmt::format("{} `{}`", d.component["kind"].get<std::string>(), schema::text(d.component))] =
          fmt::format("{}, {}", d.component["file"].get<std::string>(), d.at.source >= 0 ? out.sources.place(d.at) : "a default");
    doubts.insert(doubts.end(), std::make_move_iterator(checked.doubts.begin()), std::make_move_iterator(checked.doubts.end()));
    if (!checked.left_out.empty()) out.left_out[manifest::text(cell.at)] = std::move(checked.left_out);
    out.cells.push_back({cell.at, std::move(checked.experiment)});
  }
  if (!doubts.empty()) resolve_doubts(doubts, catalog, findings);
  std::vector<manifest::Coordinates> places;
  std::vector<std::string> metrics;
  for (const auto& cell : out.cells) {
    places.push_back(cell.at);
    for (const auto& [label, metric] : cell.experiment.metrics.items())
      if (std::find(metrics.begin(), metrics.end(), label) == metrics.end()) metrics.push_back(label);
  }
  compare::check_claims(out.comparison, places, metrics, findings);
  report::check_figures(out.comparison, metrics, findings);
  problems = findings.all();
  std::stable_sort(problems.begin(), problems.end(), [](const manifest::Diagnostic& a, const manifest::Diagnostic& b) {
    return std::tuple(a.at.source, a.at.line, a.at.column) < std::tuple(b.at.source, b.at.line, b.at.column);
  });
  if (!problems.empty()) return report(problems, out.sources, json);
  return done;
}

void add_check(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("check", "check a manifest to the last key; nothing is started");
  auto arguments = std::make_shared<ManifestArguments>();
  auto json = std::make_shared<bool>(false);
  arguments->add(*verb);
  verb->add_flag("--json", *json, "problems as JSON on stdout");
  verb->callback([=, &code] {
    Loaded loaded;
    code = load_manifest(*arguments, *json, loaded);
    if (code != done) return;
    if (*json)
      std::cout << Json{{"schema", 1}, {"ok", true}, {"problems", Json::array()}}.dump(1) << "\n";
    else
      std::cout << fmt::format("{}: no problems\n", arguments->file);
  });
}

}  // namespace scorelab::cli
