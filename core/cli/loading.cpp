#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <iostream>
#include <tuple>

#include "catalog/trust.h"
#include "cli/command.h"
#include "cli/hosts.h"
#include "cli/terminal.h"
#include "cli/verdicts.h"
#include "compare/verdict.h"
#include "manifest/plugins.h"
#include "manifest/read.h"
#include "params/sha256.h"
#include "report/figure_keys.h"

namespace scorelab::cli {
namespace {

/// What the host says about files; one that crashes it is asked alone, so that its neighbours are
/// not blamed.
std::vector<Json> ask_schemas(const std::vector<fs::path>& files) {
  std::vector<std::string> arguments{"describe"};
  for (const auto& f : files) arguments.push_back(f.string());
  int code = 0;
  const auto lines = ask_host(arguments, "", code);
  std::vector<Json> out;
  for (const auto& line : lines)
    if (Json j = Json::parse(line, nullptr, false); j.is_object() && !j.contains("event"))
      out.push_back(std::move(j));
  if (out.size() == files.size()) return out;
  if (code == 127)
    throw HostUnavailable(
        "scorelab-host does not start; its own words stand above. `scorelab doctor` looks for the "
        "cause");
  if (files.size() == 1)
    return {Json{
        {"error",
         fmt::format("crashes when it is loaded or made (the host ended with code {})", code)}}};
  out.clear();
  for (const auto& f : files) out.push_back(ask_schemas({f}).front());
  return out;
}

/// A run with other settings has a name of its own, `quickstart@train.steps=800`, unless it is
/// given one: it must not take the place of the run without them.
void name_by_changes(manifest::Node& root, const ManifestArguments& arguments) {
  const auto key_of = [](const std::string& argument) {
    const std::string key = argument.substr(0, argument.find('='));
    return key.ends_with(':') ? key.substr(0, key.size() - 1) : key;  // key:=value
  };
  std::vector<std::string> changes;
  for (const auto& argument : arguments.overrides) {
    const std::string key = key_of(argument);
    if (key == "name") return;
    // they change no result
    if (key == "question" || key == "run.device" || key == "run.threads") continue;
    // the last one wins
    std::erase_if(changes, [&](const std::string& c) { return key_of(c) == key; });
    changes.push_back(argument);
  }
  // The order counts where one changes a part of what another sets.
  const bool nested = std::any_of(changes.begin(), changes.end(), [&](const std::string& a) {
    return std::any_of(changes.begin(), changes.end(), [&](const std::string& b) {
      return key_of(b).rfind(key_of(a) + ".", 0) == 0;
    });
  });
  if (!nested) std::sort(changes.begin(), changes.end());
  for (const auto& axis : arguments.axes) changes.push_back("x:" + axis);
  if (changes.empty()) return;
  std::string all = fmt::format("{}", fmt::join(changes, ",")), plain;
  for (const char c : all)
    plain += std::isalnum(static_cast<unsigned char>(c)) ||
                     std::string("._=,+-:").find(c) != std::string::npos
                 ? c
                 : '_';
  auto* name = root.member("name");
  if (!name) {
    root.members.push_back({"name", root.at, {}, false, false});
    name = &root.members.back();
  }
  if (name->value.kind != manifest::Node::Kind::string) {
    // its kind is a problem of its own
    if (!name->value.members.empty() || name->value.kind != manifest::Node::Kind::table) return;
    name->value.kind = manifest::Node::Kind::string;
    name->value.string = fs::path(arguments.file).stem().string();
  }
  // A name has 200 characters at most.
  const std::size_t base = name->value.string.size(),
                    longest = std::min<std::size_t>(120, base < 180 ? 190 - base : 10);
  if (plain != all || plain.size() > longest)
    plain = plain.substr(0, longest) + "~" + sha256(all).substr(0, 8);
  name->value.string += "@" + plain;
}

int report(const std::vector<manifest::Diagnostic>& problems, const manifest::Sources& sources,
           bool json) {
  constexpr std::size_t most = 100;
  bool only_unavailable = true;
  Json list = Json::array();
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const auto& p = problems[i];
    only_unavailable = only_unavailable && p.unavailable;
    if (!json && i >= most) continue;
    std::string text = render(p, sources);
    if (colours(STDERR_FILENO) && text.rfind("error:", 0) == 0)
      text = red("error:", STDERR_FILENO) + text.substr(6);
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
    std::cerr << fmt::format(
        "{} {}{}; nothing was started\n", problems.size(),
        problems.size() == 1 ? "error" : "errors",
        problems.size() > most ? fmt::format(", the first {} of them shown", most) : "");
  return only_unavailable ? unavailable : usage;
}

/// The folders of plugins that the manifest names and the user trusts; the others are problems.
std::vector<fs::path> trusted_folders(const manifest::Node& root, const Loaded& loaded,
                                      std::vector<manifest::Diagnostic>& untrusted) {
  std::vector<fs::path> out;
  for (const auto& [folder, at] : manifest::plugin_folders(root, loaded.sources)) {
    if (loaded.trust) catalog::trust(folder);
    if (catalog::is_trusted(folder))
      out.push_back(folder);
    else
      untrusted.push_back(
          {at,
           "this would load programs from a folder that you have not trusted yet",
           "add --trust to this command to load them, now and from now on",
           {fmt::format("folder: {}", fs::weakly_canonical(fs::absolute(folder)).string())},
           true});
  }
  return out;
}

/// Files that are programs must lie in folders that the user trusts.
void check_programs(const Doubts& doubts, catalog::Catalog& catalog, bool trust,
                    manifest::Findings& findings) {
  for (const auto& d : doubts) {
    if (!d.component.contains("files") || d.component["files"].empty()) continue;
    const auto* entry =
        catalog.find({d.component["kind"].get<std::string>()}, schema::text(d.component));
    if (!entry) continue;
    const auto& gives = catalog.describe(*entry).schema.gives;
    if (std::none_of(gives.begin(), gives.end(), [](const auto& g) { return g.name == "program"; }))
      continue;
    for (const auto& [file, hash] : d.component["files"].items()) {
      const fs::path folder = fs::absolute(file).parent_path();
      if (trust) catalog::trust(folder);
      if (!catalog::is_trusted(folder))
        findings.problem({d.at,
                          "this would run a program from a folder that you have not trusted yet",
                          "add --trust to this command to run it, now and from now on",
                          {fmt::format("file: {}", fs::weakly_canonical(file).string())},
                          true});
    }
  }
}

/// The cells' experiments, into `out`, and for each what its plugins are to be asked.
std::vector<Doubts> check_cells(const std::vector<manifest::Cell>& cells, catalog::Catalog& catalog,
                                manifest::Findings& findings, Loaded& out) {
  std::vector<Doubts> doubts;
  for (const auto& cell : cells) {
    auto checked = manifest::check(cell.root, catalog, findings);
    for (const auto& d : checked.doubts)
      out.plugins[fmt::format("{} `{}`", d.component["kind"].get<std::string>(),
                              schema::text(d.component))] =
          fmt::format("{}, {}", d.component["file"].get<std::string>(),
                      d.at.source >= 0 ? out.sources.place(d.at) : "a default");
    check_programs(checked.doubts, catalog, out.trust, findings);
    doubts.push_back(std::move(checked.doubts));
    if (!checked.left_out.empty())
      out.left_out[manifest::text(cell.at)] = std::move(checked.left_out);
    out.cells.push_back({cell.at, std::move(checked.experiment)});
  }
  return doubts;
}

/// Claims and figures against the metrics that the cells have.
void check_comparison(const Loaded& loaded, manifest::Findings& findings) {
  std::vector<manifest::Coordinates> places;
  std::vector<std::string> metrics;
  for (const auto& cell : loaded.cells) {
    places.push_back(cell.at);
    for (const auto& [label, metric] : cell.experiment.metrics.items())
      if (std::find(metrics.begin(), metrics.end(), label) == metrics.end())
        metrics.push_back(label);
  }
  compare::check_claims(loaded.comparison, places, metrics, findings);
  report::check_figures(loaded.comparison, metrics, findings);
}

}  // namespace

catalog::Catalog open_catalog(const std::vector<fs::path>& folders) {
  for (const auto& folder : folders)
    if (!catalog::is_trusted(folder)) catalog::trust_for_now(folder);
  return catalog::Catalog(folders, catalog::built_in_plugins(), ask_schemas);
}

void ManifestArguments::add(CLI::App& verb, std::vector<std::string>* files) {
  if (files)
    verb.add_option("manifests", *files, "the experiments' TOML files")->required();
  else
    verb.add_option("manifest", file, "the experiment's TOML file")->required();
  verb.add_option("-s,--set", overrides,
                  "key=value: overrides the manifest, such as -s train.lr=1e-4; key:=value "
                  "replaces a table whole")
      ->allow_extra_args(false);
  verb.add_flag("--trust", trust,
                "load plugins from the folders that the manifest names, from now on");
  verb.add_option("-x,--sweep", axes, "key=v1,v2: one more axis, such as -x sampler.steps=10,20")
      ->allow_extra_args(false);
}

int load_manifest(const ManifestArguments& arguments, bool json, Loaded& out) {
  std::vector<manifest::Diagnostic> problems;
  auto root = manifest::read_manifest(arguments.file, out.sources, problems);
  std::vector<manifest::Node> overrides;
  for (const auto& argument : arguments.overrides)
    if (auto over = manifest::read_override(argument, out.sources, problems))
      overrides.push_back(std::move(*over));
  for (const auto& argument : arguments.axes) {
    std::vector<std::string> taken;
    if (const auto* sweep = root ? root->find("sweep") : nullptr)
      for (const auto& m : sweep->members) taken.push_back(m.key);
    if (const auto axis = manifest::read_axis(argument, taken, out.sources, problems); axis && root)
      merge(*root, *axis, manifest::Merge::keep);
  }
  if (!root) return report(problems, out.sources, json);
  if (!arguments.overrides.empty() || !arguments.axes.empty()) name_by_changes(*root, arguments);
  for (const auto& over : overrides) {  // what an experiment has is overridden in every cell
    const auto& first = over.members.front().key;
    if (std::find(manifest::experiment_keys.begin(), manifest::experiment_keys.end(), first) ==
        manifest::experiment_keys.end())
      merge(*root, over, manifest::Merge::extend);
  }
  out.text = out.sources.text(0);
  out.trust = arguments.trust;
  const int code = load_tree(*root, overrides, fs::path(arguments.file).stem().string(), json,
                             std::move(problems), out);
  if (code == done && out.comparison.single())
    for (const auto& [cell, keys] : out.left_out)
      for (const auto& key : keys) std::cerr << fmt::format("left out: {}\n", key);
  return code;
}

int load_tree(const manifest::Node& root, const std::vector<manifest::Node>& overrides,
              const std::string& name, bool json, std::vector<manifest::Diagnostic> problems,
              Loaded& out) {
  manifest::Findings findings(out.sources);
  for (auto& p : problems) findings.problem(std::move(p));
  out.comparison = manifest::read_comparison(root, name, findings);
  const auto cells = manifest::expand(out.comparison, root, overrides, findings);
  std::vector<manifest::Diagnostic> untrusted;
  const auto folders = trusted_folders(root, out, untrusted);
  if (!untrusted.empty()) {  // what stands in the manifest cannot be checked further without them
    problems = findings.all();
    problems.insert(problems.end(), untrusted.begin(), untrusted.end());
    return report(problems, out.sources, json);
  }
  auto catalog = open_catalog(folders);
  std::vector<const manifest::Node*> experiments;
  for (const auto& cell : cells) experiments.push_back(&cell.root);
  manifest::learn_schemas(experiments, catalog);
  const auto doubts = check_cells(cells, catalog, findings, out);
  check_comparison(out, findings);
  out.networks = ask_plugins(doubts, out.cells, catalog, findings);
  problems = findings.all();
  std::stable_sort(problems.begin(), problems.end(),
                   [](const manifest::Diagnostic& a, const manifest::Diagnostic& b) {
                     return std::tuple(a.at.source, a.at.line, a.at.column) <
                            std::tuple(b.at.source, b.at.line, b.at.column);
                   });
  if (!problems.empty()) return report(problems, out.sources, json);
  for (const auto& w : findings.warnings()) {
    out.warnings.push_back(w.hint.empty() ? w.message : w.message + ": " + w.hint);
    if (!json) std::cerr << render(w, out.sources);
  }
  return done;
}

}  // namespace scorelab::cli
