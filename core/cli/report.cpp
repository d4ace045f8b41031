#include <fmt/format.h>
#include <scorelab/error.h>

#include <cctype>
#include <iostream>
#include <map>
#include <memory>
#include <set>

#include "cli/command.h"
#include "cli/hosts.h"
#include "cli/observations.h"
#include "record/files.h"
#include "record/journal.h"
#include "record/picture.h"
#include "record/samples.h"
#include "report/index.h"
#include "report/page.h"

namespace scorelab::cli {
namespace {

const Launched::Stage* stage_of(const Launched::Replicate& r, const std::string& kind) {
  for (const auto& s : r.stages)
    if (s.kind == kind) return &s;
  return nullptr;
}

/// One question to the host. Throws Error with what it says.
Json ask(const std::vector<std::string>& arguments, const Json& request) {
  int code = 0;
  const auto lines = ask_host(arguments, request.dump(), code);
  const Json answer = lines.empty() ? Json() : Json::parse(lines.back(), nullptr, false);
  if (!answer.is_object() || answer.contains("error"))
    throw Error(answer.is_object() ? answer.value("error", "")
                                   : fmt::format("the host said nothing (exit code {})", code));
  return answer;
}

/// The folder of a replicate's stage of this kind, where it is done.
std::optional<fs::path> folder_of(const Launched& l, std::size_t i, const char* kind) {
  const auto* s = stage_of(l.replicates[i], kind);
  if (!s) return {};
  const fs::path out = record::stage_folder(l.results, s->key);
  return stored_result(l, *s).is_null() ? std::nullopt : std::optional(out);
}

std::optional<record::Array> samples_of(const Launched& l, std::size_t i) {
  const auto at = folder_of(l, i, "sample");
  if (!at || !fs::exists(*at / "samples")) return {};
  return record::load_samples(*at / "samples",
                              l.cells[l.replicates[i].cell].resolved["sample"]["count"])
      .x;
}

std::optional<record::Array> data_of(const Launched& l, std::size_t i) {
  const Json& resolved = l.cells[l.replicates[i].cell].resolved;
  Json spec{{"dataset", resolved["dataset"]},
            {"scheduler", resolved["scheduler"]},
            {"run", resolved["run"]}};
  if (resolved.contains("holdout")) spec["holdout"] = resolved["holdout"];
  const std::int64_t count =
      resolved.contains("sample") ? resolved["sample"]["count"].get<std::int64_t>() : 1000;
  int code = 0;
  const auto lines = ask_host({"data"},
                              Json{{"spec", spec},
                                   {"count", std::min<std::int64_t>(20000, count)},
                                   {"seed", l.replicates[i].sample_seed}}
                                  .dump(),
                              code);
  const Json answer = lines.empty() ? Json() : Json::parse(lines.back(), nullptr, false);
  if (!answer.is_object() || !answer.contains("values")) return {};
  record::Array x = record::Array::of(answer["values"].get<std::vector<double>>());
  x.shape = answer["shape"].get<std::vector<std::int64_t>>();
  return x;
}

std::optional<report::Field> field_of(const Launched& l, std::size_t i, double t,
                                      const std::vector<std::pair<double, double>>& points) {
  const auto* sample = stage_of(l.replicates[i], "sample");
  if (!sample) return {};
  const Json answer = ask({"field"}, {{"results", fs::absolute(l.results).string()},
                                      {"key", sample->key},
                                      {"t", t > 0 ? Json(t) : Json()},
                                      {"points", points}});
  report::Field field{
      answer["t"], answer["model"].get<std::vector<std::pair<double, double>>>(), {}};
  if (!answer["exact"].is_null())
    field.exact = answer["exact"].get<std::vector<std::pair<double, double>>>();
  return field;
}

std::optional<record::Trace> trace_of(const Launched& l, std::size_t i) {
  const auto at = folder_of(l, i, "sample");
  return at && fs::exists(*at / "trace.h5")
             ? std::optional(record::load_trace(
                   *at, l.cells[l.replicates[i].cell].resolved["sample"]["trace"]))
             : std::nullopt;
}

std::optional<record::Trace> exact_trace_of(const Launched& l, std::size_t i, std::int64_t count) {
  const auto* sample = stage_of(l.replicates[i], "sample");
  if (!sample) return {};
  const Json answer =
      ask({"paths"},
          {{"results", fs::absolute(l.results).string()}, {"key", sample->key}, {"count", count}});
  record::Trace out{record::Array::of(answer["t"].get<std::vector<double>>()),
                    record::Array::of(answer["x"].get<std::vector<double>>())};
  out.x.shape = answer["shape"].get<std::vector<std::int64_t>>();
  return out;
}

std::optional<report::Curve> curve_of(const Launched& l, std::size_t i, const std::string& column) {
  const auto dot = column.find('.');
  const std::string stream = column.substr(0, dot),
                    name = dot == column.npos ? "" : column.substr(dot + 1);
  const auto at = folder_of(l, i, "train");
  if (!at) return {};
  const auto story = record::read_journal(*at / "journal.jsonl");
  const auto found = story.streams.find(stream);
  if (found == story.streams.end() || !found->second.values.contains(name)) return {};
  return report::Curve{{found->second.steps.begin(), found->second.steps.end()},
                       found->second.values.at(name)};
}

std::optional<report::Measured> array_of(const Launched& l, std::size_t i,
                                         const std::string& name) {
  for (const auto& s : l.replicates[i].stages) {
    const Json done = s.kind == "evaluate" ? stored_result(l, s) : Json();
    if (!done.contains("arrays")) continue;
    const auto found = record::shaped(
        record::stage_folder(l.results, s.key) / "stage.json",
        [&]() -> std::optional<report::Measured> {
          for (const auto& a : done["arrays"]) {
            if (a.at("name") != name) continue;
            report::Measured out{
                a.at("along"), a.at("unit"), a.at("at").get<std::vector<double>>(), {}};
            for (const auto& v : a.at("values")) out.values.push_back(number_of(v));
            return out;
          }
          return {};
        });
    if (found) return found;
  }
  return {};
}

report::Sources sources_of(const Launched& l) {
  report::Sources out;
  out.samples = [&l](std::size_t i) { return samples_of(l, i); };
  out.data = [&l](std::size_t i) { return data_of(l, i); };
  out.field = [&l](std::size_t i, double t, const std::vector<std::pair<double, double>>& points) {
    return field_of(l, i, t, points);
  };
  out.trace = [&l](std::size_t i) { return trace_of(l, i); };
  out.exact_trace = [&l](std::size_t i, std::int64_t count) { return exact_trace_of(l, i, count); };
  out.curve = [&l](std::size_t i, const std::string& column) { return curve_of(l, i, column); };
  out.array = [&l](std::size_t i, const std::string& name) { return array_of(l, i, name); };
  return out;
}

double seconds_of(const Launched& l) {
  std::set<std::string> keys(l.searched.begin(), l.searched.end());
  for (const auto& r : l.replicates)
    for (const auto& s : r.stages) keys.insert(s.key);
  double out = 0;
  for (const auto& key : keys) {
    const Json done = stored_result(l, {"", key, "", ""});
    if (done.contains("seconds") && done["seconds"].is_number())
      out += done["seconds"].get<double>();
  }
  return out;
}

std::string state_of_all(const compare::Data& data) {
  std::map<std::string, std::size_t> counts;
  for (const auto& o : data.observations) ++counts[o.state];
  if (counts.size() == 1 && counts.begin()->first == "done") return "done";
  std::string out;
  for (const auto& [state, n] : counts)
    out += fmt::format("{}{} of {} runs {}", out.empty() ? "" : ", ", n, data.observations.size(),
                       state);
  return out;
}

/// A relative path as the address of a link: nothing in a name can be a scheme, a host or markup.
std::string address(const fs::path& path) {
  std::string out = "./";
  for (const char c : path.string())
    out += std::isalnum(static_cast<unsigned char>(c)) ||
                   std::string("-._~/").find(c) != std::string::npos
               ? std::string(1, c)
               : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}

/// Writes one experiment's page beside its results, or at `to`; gives what an index says of it.
/// `data` must outlive that.
report::Entry report_on(const Launched& l, const compare::Data& data, const std::string& to) {
  report::Report r;
  r.data = &data;
  for (const auto& q : compare::quantities(data, data.comparison.compare.primary))
    r.tables.push_back(compare::table(data, q, {"", data.comparison.compare.match == "nfe", {}}));
  for (const auto& q : data.metrics)
    if (std::none_of(r.tables.begin(), r.tables.end(),
                     [&](const auto& t) { return t.quantity.name == q.name; }))
      r.tables.push_back(compare::table(data, q, {"", data.comparison.compare.match == "nfe", {}}));
  r.verdicts = compare::judge(data);
  r.folder = l.results / l.name / "figures";
  record::expect_no_links(r.folder / "");
  const auto sources = sources_of(l);
  const auto first = data.observations.empty() ? std::nullopt : sources.samples(0);
  auto figures =
      data.comparison.figures.empty()
          ? report::default_figures(data, first && first->shape.size() == 2 && first->shape[1] >= 2)
          : data.comparison.figures;
  if (data.comparison.figures.empty() && first && record::is_images(first->shape))
    figures.push_back({"samples", {{"kind", "grid"}}, {}});
  for (const auto& f : figures) {
    try {
      r.figures.push_back(report::draw(data, f, sources, r.folder));
    } catch (const Error& e) {
      r.not_drawn.emplace_back(f.name, e.what());
      std::cerr << fmt::format("figure {}: {}\n", f.name, e.what());
    }
  }
  r.manifest = l.manifest;
  r.manifest_file = l.manifest_file;
  r.provenance = l.provenance;
  for (const auto& c : l.cells) r.resolved.push_back(c.resolved);
  r.seconds = seconds_of(l);
  r.warnings = l.warnings;
  r.state = state_of_all(data);
  const fs::path file = to.empty() ? l.results / l.name / "report.html" : fs::absolute(to);
  record::write_whole(file, report::page(r));
  std::vector<compare::Table> all;
  for (const auto* list : {&data.metrics, &data.costs})
    for (const auto& q : *list)
      all.push_back(compare::table(data, q, {"", data.comparison.compare.match == "nfe", {}}));
  record::write_whole(l.results / l.name / "comparison.csv", compare::as_csv(data, all));
  report::write_tables(l.results / l.name / "comparison.h5", data);
  std::cout << fmt::format("{}\n{}\n{}\n", file.string(),
                           (l.results / l.name / "comparison.csv").string(),
                           (l.results / l.name / "comparison.h5").string());
  if (!r.figures.empty())
    std::cout << fmt::format("{}: {} figures as SVG, PNG and PDF\n", r.folder.string(),
                             r.figures.size());
  report::Entry out{l.name, l.question, r.state,   {}, address(fs::relative(file, l.results)),
                    {},     r.seconds,  r.verdicts};
  for (const auto& p : data.comparison.papers) out.cites.push_back(p.cite);
  for (const auto& f : r.figures)
    if (out.figure.empty())
      out.figure = f.images.empty() ? r.folder / (f.name + (f.raster ? ".png" : ".svg"))
                                    : fs::path(f.images.front().second);
  return out;
}

int report_all(const std::vector<std::string>& arguments, const fs::path& results,
               const std::string& to) {
  std::vector<std::unique_ptr<compare::Data>> data;
  std::vector<report::Entry> entries;
  std::map<std::string, fs::path> pages;
  for (const auto& argument : arguments) {
    const Launched l = load_launched(results, experiment_name(argument, results));
    data.push_back(std::make_unique<compare::Data>(observations(l)));
    entries.push_back(report_on(l, *data.back(), arguments.size() == 1 ? to : ""));
    pages[l.name] = fs::absolute(results) / l.name / "report.html";
  }
  if (arguments.size() == 1) return done;
  const fs::path file = to.empty() ? results / "index.html" : fs::absolute(to),
                 table = fs::path(file).replace_extension(".md");
  if (!to.empty())
    for (auto& e : entries) e.page = address(fs::relative(pages.at(e.name), file.parent_path()));
  record::write_whole(file, report::index_page(entries));
  record::write_whole(table, report::index_markdown(entries));
  std::cout << fmt::format("{}\n{}\n", file.string(), table.string());
  return done;
}

}  // namespace

void add_report(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("report",
                                  "a comparison as one HTML page, its figures as SVG, PNG and PDF, "
                                  "its numbers as CSV and HDF5");
  auto names = std::make_shared<std::vector<std::string>>();
  auto results = std::make_shared<std::string>("results"), to = std::make_shared<std::string>();
  verb->add_option("experiments", *names, "names, or manifests; of several there is an index too")
      ->required();
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_option("-o,--output", *to,
                   "the page's file, or the index's; by default report.html beside the results, or "
                   "index.html above them");
  verb->callback([=, &code] { code = report_all(*names, *results, *to); });
}

}  // namespace scorelab::cli
