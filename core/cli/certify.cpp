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
#include "cli/hosts.h"
#include "cli/terminal.h"
#include "record/files.h"
#include "report/plot.h"

namespace scorelab::cli {
namespace {

constexpr std::chrono::minutes patience{5};

/// A plugin with its default parameters, and those of the components in its slots.
Json defaults_of(const catalog::Entry& entry, catalog::Catalog& catalog) {
  const auto& described = catalog.describe(entry);
  if (!described.error.empty())
    throw Error(fmt::format("{}: {}", entry.file.string(), described.error));
  const auto& schema = described.as_sampler ? *described.as_sampler : described.schema;
  Json params = Json::object();
  for (const auto& p : schema.params) {
    params[p.name] = p.initial;
    if (p.type != "slot") continue;
    const auto* inner = catalog.find({p.slot}, p.initial.get<std::string>());
    params[p.name] = inner ? defaults_of(*inner, catalog) : Json();
  }
  return {{"plugin", entry.stamp.name},
          {"kind", entry.stamp.kind},
          {"version", entry.stamp.version},
          {"file", fs::absolute(entry.file).string()},
          {"params", params}};
}

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

int certify(const std::string& what, const std::vector<std::string>& folders,
            const std::vector<std::string>& only, const std::string& output, bool json) {
  std::vector<fs::path> searched(folders.begin(), folders.end());
  if (fs::is_regular_file(what))
    searched.insert(searched.begin(), fs::absolute(what).parent_path());
  auto catalog = open_catalog(searched);
  const auto& entry = entry_of(what, catalog);
  if (!entry.mismatch.empty()) throw CLI::ValidationError(what, entry.mismatch);
  const auto request_for = [&](const catalog::Entry& e, const std::string& check) {
    const auto& d = catalog.describe(e);
    const Json component = defaults_of(e, catalog);
    return Json{{"check", check},
                {"component", component},
                {"schema", schema::to_json(d.as_sampler ? *d.as_sampler : d.schema)},
                {"plugins", catalog::built_in_plugins().string()}};
  };
  const auto all = certify::checks_of(entry.stamp.kind);
  for (const auto& name : only)
    if (std::none_of(all.begin(), all.end(), [&](const auto& c) { return c.name == name; })) {
      std::vector<std::string> names;
      for (const auto& c : all) names.push_back(c.name);
      throw CLI::ValidationError("--only",
                                 fmt::format("there is no check `{}` of a {}; checks: {}", name,
                                             entry.stamp.kind, fmt::join(names, ", ")));
    }
  Json checks = Json::array();
  std::map<std::string, int> count;
  if (!json)
    std::cout << fmt::format(
        "{} {} {}   {}\n",
        bold(fmt::format("{} `{}`", entry.stamp.kind, entry.stamp.name), STDOUT_FILENO),
        entry.stamp.version, entry.stamp.summary, entry.file.string());
  std::vector<certify::Check> asked;
  for (const auto& check : all)
    if (only.empty() || std::find(only.begin(), only.end(), check.name) != only.end())
      asked.push_back(check);
  for (std::size_t first = 0; first < asked.size();) {
    std::vector<Json> together;
    do together.push_back(request_for(entry, asked[first + together.size()].name));
    while (first + together.size() < asked.size() &&
           !is_costly(asked[first + together.size()].name) && !is_costly(asked[first].name));
    ask(together, [&](std::size_t i, Json answer) {
      const auto& check = asked[first + i];
      const std::string outcome = answer["outcome"];
      ++count[outcome];
      answer["check"] = check.name;
      answer["shows"] = check.shows;
      if (!json)
        std::cout << fmt::format(
                         "  {:<11} {:<5} {}\n", check.name, outcome_text(outcome),
                         outcome == "fail"
                             ? fmt::format("{}\n{:20}({})", answer["detail"].get<std::string>(), "",
                                           check.shows)
                             : answer["detail"].get<std::string>())
                  << std::flush;
      checks.push_back(std::move(answer));
    });
    first += together.size();
  }
  const Json certificate{{"schema", 1},
                         {"plugin", entry.stamp.name},
                         {"kind", entry.stamp.kind},
                         {"version", entry.stamp.version},
                         {"sha256", entry.sha256},
                         {"made", record::now()},
                         {"checks", checks},
                         {"certified", count["fail"] == 0 && only.empty()}};
  if (json)
    std::cout << certificate.dump(1) << "\n";
  else
    std::cout << fmt::format("{}: {} passed, {} failed, {} do not apply\n",
                             count["fail"] > 0 ? "not certified"
                             : only.empty()    ? "certified"
                                               : "some checks",
                             count["pass"], count["fail"], count["skip"]);
  if (!output.empty()) {
    record::write_whole(fs::path(output) / "certificate.json", certificate.dump(1));
    if (entry.stamp.kind == "sampler" || entry.stamp.kind == "step") {
      const Json curve = ask(request_for(entry, "curve"));
      if (curve.contains("nfe"))
        draw_errors(output, request_for(entry, "curve")["component"], curve,
                    [&](const std::string& kind, const std::string& name) {
                      return ask(request_for(*catalog.find({kind}, name), "curve"));
                    });
      else
        std::cerr << "no figure: " << curve["detail"].get<std::string>() << "\n";
    }
    std::cerr << fmt::format(
        "{}: certificate.json{}\n", output,
        fs::exists(fs::path(output) / "error.svg") ? ", error.svg, error.png, error.pdf" : "");
  }
  return count["fail"] == 0 ? done : failed;
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
