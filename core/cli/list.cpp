#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "cli/command.h"
#include "cli/terminal.h"
#include "params/tables.h"

namespace scorelab::cli {
namespace {

const std::vector<std::string> kinds{"scheduler", "network", "objective", "sampler", "step",
                                     "guide",     "initial", "dataset",   "space",   "metric"};

template <class Options>
schema::Schema of_table() {
  Options options;
  Params p;
  options.params(p);
  return schema::of(p);
}

const std::vector<std::pair<std::string, schema::Schema (*)()>> tables{{"output", of_table<OutputOptions>},
                                                                       {"train", of_table<TrainOptions>},
                                                                       {"sample", of_table<SampleOptions>},
                                                                       {"run", of_table<RunOptions>},
                                                                       {"models", of_table<ModelOptions>}};

std::string describe(const schema::Schema& s) {
  std::string out;
  for (const auto& p : s.params) {
    std::string allowed = p.type == "slot"   ? catalog::with_article(p.slot)
                          : !p.words.empty() ? fmt::format("{}", fmt::join(p.words, " | "))
                                             : p.type;
    if (p.type == "number-or-word") allowed = "number | " + allowed;
    if (p.low) allowed += fmt::format(", {} to {}", *p.low, *p.high);
    out += fmt::format("  {} = {}   ({})\n      {}\n", p.name, p.initial.is_null() ? "must be given" : p.initial.dump(), allowed, p.doc);
    if (!p.whens.empty()) out += fmt::format("      only where {}\n", schema::words(p.whens));
  }
  if (s.params.empty()) out += "  no parameters\n";
  for (const auto& n : s.needs)
    out += fmt::format("  needs `{}`: {}{}{}\n", n.name, n.reason, n.role.empty() ? "" : " (as a " + n.role + ")",
                       n.whens.empty() ? "" : " (where " + schema::words(n.whens) + ")");
  for (const auto& g : s.gives) out += fmt::format("  gives `{}`{}\n", g.name, g.whens.empty() ? "" : " where " + schema::words(g.whens));
  return out;
}

/// Markdown of one schema, for docs/reference.md.
std::string markdown(const schema::Schema& s) {
  if (s.params.empty()) return "No parameters.\n";
  std::string out = "| parameter | default | allowed | meaning |\n| --- | --- | --- | --- |\n";
  const auto cell = [](std::string text) {
    for (std::size_t i = 0; (i = text.find('|', i)) != text.npos; i += 2) text.insert(i, "\\");
    return text;
  };
  for (const auto& p : s.params) {
    std::string allowed = p.type == "slot"   ? catalog::with_article(p.slot)
                          : !p.words.empty() ? fmt::format("`{}`", fmt::join(p.words, "`, `"))
                                             : p.type;
    if (p.type == "number-or-word") allowed = "number, " + allowed;
    if (p.low) allowed += fmt::format(", {} to {}", *p.low, *p.high);
    out += fmt::format("| `{}` | {} | {} | {}{} |\n", p.name, p.initial.is_null() ? "required" : "`" + p.initial.dump() + "`",
                       cell(allowed), cell(p.doc), p.whens.empty() ? "" : cell(" (only where " + schema::words(p.whens) + ")"));
  }
  return out;
}

/// `reads digits/digits.csv.gz`: files below the data path.
std::string reads(const schema::Schema& s) {
  std::string out;
  for (const auto& r : s.reads)
    out += fmt::format("  reads {}{}{}\n", r.name, r.optional ? ", where it is there" : "",
                       r.whens.empty() ? "" : " (where " + schema::words(r.whens) + ")");
  return out;
}

int list(const std::string& what, const std::vector<std::string>& folders, bool json, bool md) {
  auto catalog = open_catalog({folders.begin(), folders.end()});
  const auto slash = what.find('/');
  std::string kind = what.substr(0, slash), name = slash == what.npos ? "" : what.substr(slash + 1);
  for (const auto& [table, schema] : tables) {
    if (kind != table) continue;
    if (json)
      std::cout << Json{{"schema", 1}, {"table", table}, {"parameters", schema::to_json(schema())["params"]}}.dump(1) << "\n";
    else
      std::cout << fmt::format("{}\n{}", bold("[" + table + "]", STDOUT_FILENO), describe(schema()));
    return done;
  }
  if (!kind.empty() && std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
    std::vector<std::string> all = kinds, tables_named, names;
    for (const auto& t : tables) tables_named.push_back(t.first);
    all.insert(all.end(), tables_named.begin(), tables_named.end());
    for (const auto& e : catalog.entries()) names.push_back(e.stamp.name);
    const bool alone = slash == what.npos;
    if (!alone || std::find(names.begin(), names.end(), what) == names.end()) {
      if (alone) all.insert(all.end(), names.begin(), names.end());
      const std::string near = manifest::nearest(kind, all);
      std::cerr << fmt::format("error: there is no kind{} `{}`{}; kinds: {}, {}\n", alone ? " or plugin" : "", kind,
                               near.empty() ? "" : fmt::format("; did you mean `{}`?", near), fmt::join(kinds, ", "),
                               fmt::join(tables_named, ", "));
      return usage;
    }
    name = std::exchange(kind, "");
  }
  std::vector<const catalog::Entry*> entries;
  for (const auto& k : kinds)
    for (const auto* e : catalog.of_kind(k))
      if ((kind.empty() || k == kind || (kind == "sampler" && k == "step")) && (name.empty() || e->stamp.name == name))
        entries.push_back(e);
  if (entries.empty()) {
    std::vector<std::string> names;
    for (const auto* e : catalog.of_kind(kind)) names.push_back(e->stamp.name);
    const std::string near = manifest::nearest(name, names);
    std::cerr << fmt::format("error: there is no {}; {}scorelab list {} shows what there is\n", what,
                             near.empty() ? "" : fmt::format("did you mean {}/{}? ", kind, near), kind);
    return empty;
  }
  if (json || md || !name.empty()) catalog.learn(entries);
  Json out = Json::array();
  std::string last;
  for (const auto* e : entries) {
    const auto& s = e->stamp;
    if (json || md || !name.empty()) {
      const auto& d = catalog.describe(*e);
      const auto schema = with_options_of_kind(s.kind, d.as_sampler ? *d.as_sampler : d.schema);
      if (json)
        out.push_back({{"kind", s.kind},
                       {"name", s.name},
                       {"version", s.version},
                       {"summary", s.summary},
                       {"file", e->file.string()},
                       {"error", d.error},
                       {"schema", schema::to_json(schema)}});
      else if (md)
        std::cout << (s.kind == last ? "" : fmt::format("\n## {}s\n", s.kind))
                  << fmt::format("\n### {}\n\n{}. Version {}.\n\n{}", s.name, s.summary, s.version,
                                 markdown(with_options_of_kind(s.kind, d.schema)));
      else
        std::cout << fmt::format("{} {} {}: {}\n{}", s.kind, bold(s.name, STDOUT_FILENO), s.version, s.summary,
                                 d.error.empty() ? describe(schema) + reads(schema) : "  cannot be used: " + d.error + "\n");
    } else {
      if (s.kind != last) std::cout << bold(s.kind == "step" ? "step (a sampler, or part of one)" : s.kind, STDOUT_FILENO) << "\n";
      std::cout << fmt::format("  {:<26} {}{}\n", s.name, s.summary, e->mismatch.empty() ? "" : "  [" + e->mismatch + "]");
    }
    last = s.kind;
  }
  if (md)
    for (const auto& [table, schema] : tables) std::cout << fmt::format("\n## The table `{}`\n\n{}", table, markdown(schema()));
  if (json)
    std::cout << Json{{"schema", 1}, {"plugins", out}}.dump(1) << "\n";
  else if (!md && name.empty())
    std::cout << "scorelab list KIND/NAME shows parameters; tables of a manifest: output, train, sample, run\n";
  return done;
}

}  // namespace

void add_list(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("list", "the plugins, or the parameters of one: list sampler/pf-ode");
  auto what = std::make_shared<std::string>();
  auto folders = std::make_shared<std::vector<std::string>>();
  auto json = std::make_shared<bool>(false), md = std::make_shared<bool>(false);
  verb->add_option("what", *what, "KIND, NAME, KIND/NAME, or a table of a manifest: output, train, sample, run");
  verb->add_option("--plugins", *folders, "a further folder of plugins")->allow_extra_args(false);
  verb->add_flag("--json", *json, "with all parameters, as JSON");
  verb->add_flag("--markdown", *md, "with all parameters, as Markdown: docs/reference.md");
  verb->callback([=, &code] { code = list(*what, *folders, *json, *md); });
}

}  // namespace scorelab::cli
