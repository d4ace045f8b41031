#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>
#include <optional>

#include "cli/command.h"
#include "cli/hosts.h"
#include "cli/network.h"
#include "cli/terminal.h"
#include "params/tables.h"

namespace scorelab::cli {
namespace {

const std::vector<std::string> kinds{"scheduler", "network", "objective", "sampler", "step",
                                     "guide",     "initial", "dataset",   "space",   "metric"};

const std::vector<std::pair<std::string, schema::Schema (*)()>> tables{
    {"output", schema::of_table<OutputOptions>},
    {"train", schema::of_table<TrainOptions>},
    {"sample", schema::of_table<SampleOptions>},
    {"run", schema::of_table<RunOptions>},
    {"models", schema::of_table<ModelOptions>}};

/// `channels = 256, blocks = 2`
std::string values_of(const schema::Preset& preset) {
  std::vector<std::string> out;
  for (const auto& [name, value] : preset.values.items())
    out.push_back(fmt::format("{} = {}", name, value.dump()));
  return out.empty() ? "the defaults" : fmt::format("{}", fmt::join(out, ", "));
}

std::string describe(const schema::Schema& s) {
  std::string out;
  for (const auto& p : s.params) {
    std::string allowed = p.type == "slot"   ? catalog::with_article(p.slot)
                          : !p.words.empty() ? fmt::format("{}", fmt::join(p.words, " | "))
                                             : p.type;
    if (p.type == "number-or-word") allowed = "number | " + allowed;
    if (p.low) allowed += fmt::format(", {} to {}", *p.low, *p.high);
    out += fmt::format("  {} = {}   ({})\n      {}\n", p.name,
                       p.initial.is_null() ? "must be given" : p.initial.dump(), allowed, p.doc);
    if (!p.whens.empty()) out += fmt::format("      only where {}\n", schema::words(p.whens));
  }
  if (s.params.empty()) out += "  no parameters\n";
  for (const auto& p : s.presets)
    out += fmt::format("  preset \"{}\": {}\n      {}\n", p.name, p.doc, values_of(p));
  for (const auto& n : s.needs)
    out += fmt::format("  needs `{}`: {}{}{}\n", n.name, n.reason,
                       n.role.empty() ? "" : " (as a " + n.role + ")",
                       n.whens.empty() ? "" : " (where " + schema::words(n.whens) + ")");
  for (const auto& g : s.gives)
    out += fmt::format("  gives `{}`{}\n", g.name,
                       g.whens.empty() ? "" : " where " + schema::words(g.whens));
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
    out += fmt::format("| `{}` | {} | {} | {}{} |\n", p.name,
                       p.initial.is_null() ? "required" : "`" + p.initial.dump() + "`",
                       cell(allowed), cell(p.doc),
                       p.whens.empty() ? "" : cell(" (only where " + schema::words(p.whens) + ")"));
  }
  if (s.presets.empty()) return out;
  out += "\n| preset | of | sets |\n| --- | --- | --- |\n";
  for (const auto& p : s.presets)
    out += fmt::format("| `{}` | {} | `{}` |\n", p.name, cell(p.doc), cell(values_of(p)));
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

/// What `list` was asked for: a kind, a plugin, both or neither.
struct Asked {
  std::string kind, name;
};

/// `KIND`, `KIND/NAME` or `NAME`. Nothing where there is no such kind: stderr says so.
std::optional<Asked> asked_for(const std::string& what, const catalog::Catalog& catalog) {
  const auto slash = what.find('/');
  const std::string kind = what.substr(0, slash);
  if (kind.empty() || std::find(kinds.begin(), kinds.end(), kind) != kinds.end())
    return Asked{kind, slash == what.npos ? "" : what.substr(slash + 1)};
  std::vector<std::string> all = kinds, tables_named, names;
  for (const auto& t : tables) tables_named.push_back(t.first);
  all.insert(all.end(), tables_named.begin(), tables_named.end());
  for (const auto& e : catalog.entries()) names.push_back(e.stamp.name);
  const bool alone = slash == what.npos;
  if (alone && std::find(names.begin(), names.end(), what) != names.end()) return Asked{"", kind};
  if (alone) all.insert(all.end(), names.begin(), names.end());
  const std::string near = manifest::nearest(kind, all);
  std::cerr << fmt::format("error: there is no kind{} `{}`{}; kinds: {}, {}\n",
                           alone ? " or plugin" : "", kind,
                           near.empty() ? "" : fmt::format("; did you mean `{}`?", near),
                           fmt::join(kinds, ", "), fmt::join(tables_named, ", "));
  return {};
}

std::vector<const catalog::Entry*> entries_of(const Asked& asked, const catalog::Catalog& catalog) {
  std::vector<const catalog::Entry*> out;
  for (const auto& k : kinds) {
    const bool fits =
        asked.kind.empty() || k == asked.kind || (asked.kind == "sampler" && k == "step");
    if (!fits) continue;
    for (const auto* e : catalog.of_kind(k))
      if (asked.name.empty() || e->stamp.name == asked.name) out.push_back(e);
  }
  return out;
}

void show_table(const std::string& table, const schema::Schema& schema, bool json) {
  if (json)
    std::cout << Json{{"schema", 1},
                      {"table", table},
                      {"parameters", schema::to_json(schema)["params"]}}
                     .dump(1)
              << "\n";
  else
    std::cout << fmt::format("{}\n{}", bold("[" + table + "]", STDOUT_FILENO), describe(schema));
}

/// As a sampler, where a step may stand alone.
schema::Schema schema_of(const catalog::Entry& e, const catalog::Described& d) {
  return with_options_of_kind(e.stamp.kind, d.as_sampler ? *d.as_sampler : d.schema);
}

Json entry_json(const catalog::Entry& e, const catalog::Described& d) {
  return {{"kind", e.stamp.kind},
          {"name", e.stamp.name},
          {"version", e.stamp.version},
          {"summary", e.stamp.summary},
          {"file", e.file.string()},
          {"error", d.error},
          {"schema", schema::to_json(schema_of(e, d))}};
}

std::string entry_text(const catalog::Entry& e, const catalog::Described& d) {
  const schema::Schema schema = schema_of(e, d);
  return fmt::format(
      "{} {} {}: {}\n{}", e.stamp.kind, bold(e.stamp.name, STDOUT_FILENO), e.stamp.version,
      e.stamp.summary,
      d.error.empty() ? describe(schema) + reads(schema) : "  cannot be used: " + d.error + "\n");
}

std::string entry_markdown(const catalog::Entry& e, const catalog::Described& d) {
  return fmt::format("\n### {}\n\n{}. Version {}.\n\n{}", e.stamp.name, e.stamp.summary,
                     e.stamp.version, markdown(with_options_of_kind(e.stamp.kind, d.schema)));
}

std::string entry_line(const catalog::Entry& e) {
  return fmt::format("  {:<26} {}{}\n", e.stamp.name, e.stamp.summary,
                     e.mismatch.empty() ? "" : "  [" + e.mismatch + "]");
}

/// What stands on the command line.
struct ListArguments {
  std::string what, preset;
  std::vector<std::string> folders;
  std::vector<std::int64_t> shape;
  bool json = false, markdown = false;
};

/// The layers of a network.
int layers(const ListArguments& a, const std::vector<const catalog::Entry*>& entries,
           catalog::Catalog& catalog) {
  if (a.json || a.markdown) {
    std::cerr << "error: layers are not shown as --json or --markdown\n";
    return usage;
  }
  if (entries.size() != 1 || entries.front()->stamp.kind != "network") {
    std::cerr
        << "error: --preset and --shape show the layers of one network, such as scorelab list "
           "network/ddpm-unet --preset cifar10\n";
    return usage;
  }
  try {
    std::cout << layers_text(*entries.front(), a.preset,
                             a.shape.empty() ? std::vector<std::int64_t>{3, 32, 32} : a.shape,
                             catalog);
    return done;
  } catch (const HostUnavailable&) {
    throw;
  } catch (const Error& e) {
    std::cerr << "error: " << e.what() << "\n";
    return usage;
  }
}

int list(const ListArguments& a) {
  const auto& [what, preset, folders, shape, json, md] = a;
  auto catalog = open_catalog({folders.begin(), folders.end()});
  for (const auto& [table, schema] : tables)
    if (what.substr(0, what.find('/')) == table) {
      show_table(table, schema(), json);
      return done;
    }
  const auto asked = asked_for(what, catalog);
  if (!asked) return usage;
  const auto entries = entries_of(*asked, catalog);
  if (entries.empty()) {
    std::vector<std::string> names;
    for (const auto* e : catalog.of_kind(asked->kind)) names.push_back(e->stamp.name);
    const std::string near = manifest::nearest(asked->name, names);
    std::cerr << fmt::format(
        "error: there is no {}; {}scorelab list {} shows what there is\n", what,
        near.empty() ? "" : fmt::format("did you mean {}/{}? ", asked->kind, near), asked->kind);
    return empty;
  }
  if (!preset.empty() || !shape.empty()) return layers(a, entries, catalog);
  const bool in_detail = json || md || !asked->name.empty();
  if (in_detail) catalog.learn(entries);
  Json out = Json::array();
  std::string last;
  for (const auto* e : entries) {
    const std::string& kind = e->stamp.kind;
    if (json)
      out.push_back(entry_json(*e, catalog.describe(*e)));
    else if (md)
      std::cout << (kind == last ? "" : fmt::format("\n## {}s\n", kind))
                << entry_markdown(*e, catalog.describe(*e));
    else if (in_detail)
      std::cout << entry_text(*e, catalog.describe(*e));
    else
      std::cout << (kind == last ? ""
                                 : bold(kind == "step" ? "step (a sampler, or part of one)" : kind,
                                        STDOUT_FILENO) +
                                       "\n")
                << entry_line(*e);
    last = kind;
  }
  if (md)
    for (const auto& [table, schema] : tables)
      std::cout << fmt::format("\n## The table `{}`\n\n{}", table, markdown(schema()));
  if (json)
    std::cout << Json{{"schema", 1}, {"plugins", out}}.dump(1) << "\n";
  else if (!in_detail)
    std::cout << "scorelab list KIND/NAME shows parameters; tables of a manifest: output, train, "
                 "sample, run\n";
  return done;
}

}  // namespace

void add_list(CLI::App& app, int& code) {
  auto* verb =
      app.add_subcommand("list", "the plugins, or the parameters of one: list sampler/pf-ode");
  auto a = std::make_shared<ListArguments>();
  verb->add_option("what", a->what,
                   "KIND, NAME, KIND/NAME, or a table of a manifest: output, train, sample, run");
  verb->add_option("--plugins", a->folders, "a further folder of plugins")->allow_extra_args(false);
  verb->add_option("--preset", a->preset, "the layers of a network, with one of its presets");
  verb->add_option("--shape", a->shape,
                   "the layers of a network for samples of this shape; 3,32,32 where only --preset "
                   "is given")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20));
  verb->add_flag("--json", a->json, "with all parameters, as JSON");
  verb->add_flag("--markdown", a->markdown, "with all parameters, as Markdown: docs/reference.md");
  verb->callback([=, &code] { code = list(*a); });
}

}  // namespace scorelab::cli
