#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>

#include "certify/checks.h"
#include "cli/command.h"
#include "cli/defaults.h"
#include "cli/hosts.h"
#include "cli/terminal.h"
#include "record/files.h"
#include "report/plot.h"

namespace scorelab::cli {
namespace {

constexpr std::chrono::minutes patience{5};

/// A file, `kind/name` or a name.
const catalog::Entry& entry_of(const std::string& what, const catalog::Catalog& catalog) {
  const auto slash = what.find('/');
  std::vector<std::string> near;
  for (const auto& e : catalog.entries()) {
    std::error_code none;
    const bool file = fs::is_regular_file(what, none) && fs::equivalent(e.file, what, none);
    if (file || e.stamp.name == what ||
        (slash != what.npos && e.stamp.kind == what.substr(0, slash) &&
         e.stamp.name == what.substr(slash + 1)))
      return e;
    near.push_back(e.stamp.kind + "/" + e.stamp.name);
    near.push_back(e.stamp.name);
  }
  for (const auto& s : catalog.skipped())
    if (fs::is_regular_file(what) && fs::equivalent(s.file, what))
      throw CLI::ValidationError(what, s.reason);
  const std::string close = manifest::nearest(what, near);
  throw CLI::ValidationError(
      "PLUGIN", fmt::format("there is no plugin `{}`{}; a file, kind/name or a name", what,
                            close.empty() ? "" : fmt::format("; did you mean `{}`?", close)));
}

/// Checks in one process, each answered in its turn. One that crashes or never ends has failed, and
/// those after it have a new process.
void ask(const std::vector<Json>& requests,
         const std::function<void(std::size_t, Json)>& answered) {
  for (std::size_t next = 0; next < requests.size();) {
    Host host({"certify"});
    host.write(Json(std::vector<Json>(requests.begin() + static_cast<std::ptrdiff_t>(next),
                                      requests.end()))
                   .dump());
    host.close_input();
    std::string crash;
    auto begin = std::chrono::steady_clock::now();
    bool late = false;
    while (host.read(200, [&](const std::string& line) {
      const Json j = Json::parse(line, nullptr, false);
      if (j.is_object() && j.value("event", "") == "crash") crash = j["signal"];
      if (j.is_object() && j.contains("outcome")) {
        answered(next++, j);
        begin = std::chrono::steady_clock::now();
      }
    }))
      if (!late && std::chrono::steady_clock::now() - begin > patience) {
        late = true;
        host.signal(SIGKILL);
      }
    const int code = host.wait();
    if (next >= requests.size()) return;
    const std::string how = late ? fmt::format("it did not end within {} minutes", patience.count())
                            : crash.empty()
                                ? fmt::format("it ended its process with exit code {}", code)
                                : "it crashed: " + crash;
    answered(next++, {{"outcome", "fail"}, {"detail", how}});
  }
}

Json ask(const Json& request) {
  Json out;
  ask({request}, [&](std::size_t, Json answer) { out = std::move(answer); });
  return out;
}

/// Those that take their time have a process of their own.
bool is_costly(const std::string& check) {
  return check == "gaussian" || check == "mixture" || check == "moments" || check == "order" ||
         check == "strong" || check == "budget";
}

std::string outcome_text(const std::string& outcome) {
  return outcome == "fail" ? red("FAIL", STDOUT_FILENO) : outcome;
}

/// Error against evaluations, beside some of scorelab's own.
void draw_errors(
    const fs::path& folder, const Json& component, const Json& curve,
    const std::function<Json(const std::string& kind, const std::string& name)>& ask_own) {
  report::Plot plot;
  plot.name = "error";
  plot.x_label = "network evaluations";
  plot.y_label = "error of the standard deviation";
  plot.log_x = plot.log_y = true;
  plot.panels.push_back({"Gaussian target on VP, exact score", {}, {}});
  const auto add = [&](const std::string& name, const Json& answer) {
    if (!answer.contains("nfe")) return;
    report::Series s{name,
                     answer["nfe"].get<std::vector<double>>(),
                     answer["error"].get<std::vector<double>>(),
                     {},
                     {}};
    s.low = s.high = s.y;
    plot.panels[0].series.push_back(std::move(s));
  };
  const std::string own = component["plugin"];
  add(own, curve);
  for (const auto& [kind, name] : {std::pair{"step", "ancestral"},
                                   {"step", "euler-maruyama"},
                                   {"step", "ddim"},
                                   {"step", "dpm-solver-pp"},
                                   {"sampler", "edm-heun"}})
    if (name != own) add(name, ask_own(kind, name));
  report::draw(plot, folder);
}

/// One plugin's certification, by checks in processes of their own.
class Certification {
 public:
  Certification(catalog::Catalog& catalog, const catalog::Entry& entry, bool json)
      : catalog_(catalog), entry_(entry), json_(json) {}

  /// Asks the checks, and prints each answer as it comes; empty: all.
  void run(const std::vector<std::string>& only);
  /// Prints the certificate, or its last line.
  void conclude() const;
  /// Writes the certificate and a sampler's figure.
  void write(const fs::path& folder) const;
  bool failed() const { return count("fail") > 0; }

 private:
  std::vector<certify::Check> chosen(const std::vector<std::string>& only) const;
  Json request(const catalog::Entry& entry, const std::string& check) const;
  void note(const certify::Check& check, Json answer);
  Json certificate() const;
  std::ptrdiff_t count(const std::string& outcome) const {
    return std::count_if(checks_.begin(), checks_.end(),
                         [&](const Json& c) { return c["outcome"] == outcome; });
  }

  catalog::Catalog& catalog_;
  const catalog::Entry& entry_;
  bool json_, whole_ = true;
  Json checks_ = Json::array();
  std::string made_;
};

std::vector<certify::Check> Certification::chosen(const std::vector<std::string>& only) const {
  const auto all = certify::checks_of(entry_.stamp.kind);
  std::vector<std::string> names;
  for (const auto& c : all) names.push_back(c.name);
  for (const auto& name : only)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw CLI::ValidationError("--only",
                                 fmt::format("there is no check `{}` of a {}; checks: {}", name,
                                             entry_.stamp.kind, fmt::join(names, ", ")));
  if (only.empty()) return all;
  std::vector<certify::Check> out;
  for (const auto& c : all)
    if (std::find(only.begin(), only.end(), c.name) != only.end()) out.push_back(c);
  return out;
}

Json Certification::request(const catalog::Entry& entry, const std::string& check) const {
  const auto& described = catalog_.describe(entry);
  const Json component = defaults_of(entry, catalog_);
  return {
      {"check", check},
      {"component", component},
      {"schema", schema::to_json(described.as_sampler ? *described.as_sampler : described.schema)},
      {"plugins", catalog::built_in_plugins().string()}};
}

void Certification::note(const certify::Check& check, Json answer) {
  answer["check"] = check.name;
  answer["shows"] = check.shows;
  if (!json_) {
    const std::string outcome = answer["outcome"];
    std::string detail = answer["detail"];
    if (outcome == "fail") detail += fmt::format("\n{:20}({})", "", check.shows);
    std::cout << fmt::format("  {:<11} {:<5} {}\n", check.name, outcome_text(outcome), detail)
              << std::flush;
  }
  checks_.push_back(std::move(answer));
}

void Certification::run(const std::vector<std::string>& only) {
  const auto asked = chosen(only);
  const auto& params = catalog_.describe(entry_).schema.params;
  // one that cannot be made from its defaults is not tried
  whole_ = only.empty() && std::none_of(params.begin(), params.end(), [](const auto& p) {
             return p.required && p.whens.empty();
           });
  if (!json_)
    std::cout << fmt::format(
        "{} {} {}   {}\n",
        bold(fmt::format("{} `{}`", entry_.stamp.kind, entry_.stamp.name), STDOUT_FILENO),
        entry_.stamp.version, entry_.stamp.summary, entry_.file.string());
  for (std::size_t first = 0; first < asked.size();) {
    std::vector<Json> together;
    do together.push_back(request(entry_, asked[first + together.size()].name));
    while (first + together.size() < asked.size() &&
           !is_costly(asked[first + together.size()].name) && !is_costly(asked[first].name));
    ask(together, [&](std::size_t i, Json answer) { note(asked[first + i], std::move(answer)); });
    first += together.size();
  }
  made_ = record::now();
}

Json Certification::certificate() const {
  return {{"schema", 1},
          {"plugin", entry_.stamp.name},
          {"kind", entry_.stamp.kind},
          {"version", entry_.stamp.version},
          {"sha256", entry_.sha256},
          {"made", made_},
          {"checks", checks_},
          {"certified", !failed() && whole_}};
}

void Certification::conclude() const {
  if (json_) {
    std::cout << certificate().dump(1) << "\n";
    return;
  }
  const std::string verdict = failed() ? "not certified" : whole_ ? "certified" : "some checks";
  std::cout << fmt::format("{}: {} passed, {} failed, {} do not apply\n", verdict, count("pass"),
                           count("fail"), count("skip"));
}

void Certification::write(const fs::path& folder) const {
  record::write_whole(folder / "certificate.json", certificate().dump(1));
  bool drawn = false;
  if (entry_.stamp.kind == "sampler" || entry_.stamp.kind == "step") {
    const Json own = request(entry_, "curve");
    const Json curve = ask(own);
    drawn = curve.contains("nfe");
    if (drawn)
      draw_errors(folder, own["component"], curve,
                  [&](const std::string& kind, const std::string& name) {
                    return ask(request(*catalog_.find({kind}, name), "curve"));
                  });
    else
      std::cerr << "no figure: " << curve["detail"].get<std::string>() << "\n";
  }
  std::cerr << fmt::format("{}: certificate.json{}\n", folder.string(),
                           drawn ? ", error.svg, error.png, error.pdf" : "");
}

int certify(const std::string& what, const std::vector<std::string>& folders,
            const std::vector<std::string>& only, const std::string& output, bool json) {
  std::vector<fs::path> searched(folders.begin(), folders.end());
  if (fs::is_regular_file(what))
    searched.insert(searched.begin(), fs::absolute(what).parent_path());
  auto catalog = open_catalog(searched);
  const auto& entry = entry_of(what, catalog);
  if (!entry.mismatch.empty()) throw CLI::ValidationError(what, entry.mismatch);
  Certification certification(catalog, entry, json);
  certification.run(only);
  certification.conclude();
  if (!output.empty()) certification.write(output);
  return certification.failed() ? failed : done;
}

}  // namespace

void add_certify(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("certify",
                                  "test a plugin: randomness, grids, closed forms, measured order; "
                                  "a check that crashes does not keep the rest from running");
  auto what = std::make_shared<std::string>(), output = std::make_shared<std::string>();
  auto folders = std::make_shared<std::vector<std::string>>();
  auto json = std::make_shared<bool>(false);
  verb->add_option("plugin", *what, "its file, kind/name, or name")->required();
  verb->add_option("--plugins", *folders, "folders with plugins beside scorelab's own")
      ->allow_extra_args(false);
  auto only = std::make_shared<std::vector<std::string>>();
  verb->add_option("--only", *only, "these checks alone: --only grid,cancel")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option(
      "-o,--output", *output,
      "a folder for certificate.json and, of samplers, a figure: error against evaluations");
  verb->add_flag("--json", *json, "the certificate as JSON on stdout");
  verb->callback([=, &code] { code = certify(*what, *folders, *only, *output, *json); });
}

}  // namespace scorelab::cli
