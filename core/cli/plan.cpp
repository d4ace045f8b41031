#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <set>
#include <sstream>

#include "cli/network.h"
#include "cli/planning.h"
#include "cli/terminal.h"

namespace scorelab::cli {
namespace {

std::vector<std::string> parts_of(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::stringstream in(text);
  for (std::string part; std::getline(in, part, separator);) {
    const auto begin = part.find_first_not_of(" \t"), end = part.find_last_not_of(" \t");
    if (begin != part.npos) out.push_back(part.substr(begin, end - begin + 1));
  }
  return out;
}

/// axis -> labels, of `pc|em, S=10`.
std::map<std::string, std::set<std::string>> places(const std::string& only,
                                                    const manifest::Comparison& c) {
  std::map<std::string, std::set<std::string>> out;
  for (const auto& part : parts_of(only, ',')) {
    const auto equals = part.find('=');
    const std::string axis =
        equals == part.npos ? "variant" : parts_of(part.substr(0, equals), '=').at(0);
    const auto labels = c.labels(axis);
    if (labels.empty())
      throw CLI::ValidationError("--only", fmt::format("there is no axis `{}`", axis));
    for (const auto& text : parts_of(equals == part.npos ? part : part.substr(equals + 1), '|')) {
      const std::string label = manifest::canonical_label(text);
      if (std::find(labels.begin(), labels.end(), label) == labels.end())
        throw CLI::ValidationError("--only", fmt::format("`{}` has no value `{}`; values: {}", axis,
                                                         label, fmt::join(labels, ", ")));
      out[axis].insert(label);
    }
  }
  return out;
}

std::set<std::int64_t> seeds_of(const std::string& text) {
  std::set<std::int64_t> out;
  for (const auto& part : parts_of(text, ',')) {
    const auto dots = part.find("..");
    std::int64_t first = 0, last = 0;
    const std::string a = part.substr(0, dots), b = dots == part.npos ? a : part.substr(dots + 2);
    const auto whole = [](const std::string& s, std::int64_t& value) {
      const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
      return error == std::errc() && end == s.data() + s.size() && value >= 0;
    };
    if (!whole(a, first) || !whole(b, last) || last < first || last - first > 1000000)
      throw CLI::ValidationError(
          "--seeds",
          fmt::format("`{}` is no seed and no range of seeds, such as 0..3 or 0,2", part));
    for (auto s = first; s <= last; ++s) out.insert(s);
  }
  return out;
}

std::string reasons(const std::map<std::string, std::size_t>& counts) {
  std::string out;
  for (const auto& [reason, n] : counts)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", n, reason);
  return out;
}

/// `(3 variants x 5 S + pf x 4 rtol) x 8 seeds`: only as a product where every variant has every
/// axis.
std::string shape_of(const plan::Plan& plan, const manifest::Comparison& c) {
  const std::size_t n =
      c.seeds.apart ? c.seeds.train.size() * c.seeds.sample.size() : c.seeds.sample.size();
  std::string out = fmt::format("{} cell{}", plan.cells.size(), plan.cells.size() == 1 ? "" : "s");
  std::vector<std::string> factors;
  if (!c.variants.empty()) factors.push_back(fmt::format("{} variants", c.variants.size()));
  for (const auto& a : c.axes)
    factors.push_back(fmt::format("{} {}{}", a.points.size(), a.name,
                                  a.only.empty() && a.except.empty() ? "" : "*"));
  if (!factors.empty()) out += fmt::format(" ({})", fmt::join(factors, " x "));
  if (c.seeds.apart)
    out += fmt::format(" x {} training{} x {} sampling{}", c.seeds.train.size(),
                       c.seeds.train.size() == 1 ? "" : "s", c.seeds.sample.size(),
                       c.seeds.sample.size() == 1 ? "" : "s");
  else if (n > 1)
    out += fmt::format(" x {} seeds", n);
  return out;
}

Json plan_json(const plan::Plan& plan, const Loaded& loaded) {
  Json stages = Json::array(), replicates = Json::array(), searches = Json::array(),
       left = Json::object();
  for (const auto& s : plan.stages) {
    stages.push_back({{"kind", s.kind},
                      {"label", s.label},
                      {"key", s.key},
                      {"done", s.done},
                      {"reason", s.reason},
                      {"after", Json::array()}});
    for (const auto i : s.after) stages.back()["after"].push_back(plan.stages[i].key);
    if (s.seconds >= 0) stages.back()["seconds"] = s.seconds;
  }
  for (const auto& r : plan.replicates) {
    Json at = Json::object(), keys = Json::array(), models = Json::object();
    for (const auto& [axis, label] : plan.cells[r.cell].at) at[axis] = label;
    for (const auto i : r.stages) keys.push_back(plan.stages[i].key);
    for (const auto& [name, i] : r.models) models[name] = plan.stages[i].key;
    replicates.push_back({{"at", at},
                          {"train_seed", r.train_seed},
                          {"sample_seed", r.sample_seed},
                          {"folder", r.folder},
                          {"stages", keys},
                          {"models", models}});
  }
  for (const auto& s : plan.searches)
    searches.push_back({{"at", manifest::text(s.at)},
                        {"axis", s.axis},
                        {"metric", s.metric},
                        {"candidates", s.cells.size()},
                        {"chosen", s.chosen}});
  for (const auto& [cell, keys] : loaded.left_out) left[cell] = keys;
  return {{"schema", 1},
          {"name", plan.name},
          {"cells", plan.cells.size()},
          {"stages", stages},
          {"replicates", replicates},
          {"searches", searches},
          {"pending", plan.pending},
          {"networks", loaded.networks},
          {"left_out", left}};
}

}  // namespace

void Selection::add(CLI::App& verb) {
  verb.add_option("--only", only, "some cells: variants and axis values, such as \"pc|em, S=10\"");
  verb.add_option("--seeds", seeds, "some seeds: 0..3, or 0,2");
  verb.add_option("--until", until, "no stages beyond: train, or sample")
      ->check(CLI::IsMember({"train", "sample"}));
}

std::vector<std::size_t> select(const plan::Plan& plan, const Selection& selection,
                                const manifest::Comparison& c) {
  const auto where = places(selection.only, c);
  const auto seeds = seeds_of(selection.seeds);
  std::set<std::size_t> out;
  const auto fits = [&](const manifest::Coordinates& at) {
    return std::all_of(where.begin(), where.end(), [&](const auto& w) {
      return std::any_of(at.begin(), at.end(), [&](const auto& place) {
        return place.first == w.first && w.second.contains(place.second);
      });
    });
  };
  for (const auto& r : plan.replicates)
    if (fits(plan.cells[r.cell].at) && (seeds.empty() || seeds.contains(r.sample_seed)))
      out.insert(r.stages.begin(), r.stages.end());
  for (const auto& s : plan.searches)
    if (fits(s.at)) out.insert(s.stages.begin(), s.stages.end());
  const bool without_samples = selection.until == "train";
  if (!selection.until.empty())
    std::erase_if(out, [&](std::size_t i) {
      const std::string& kind = plan.stages[i].kind;
      return kind == "evaluate" || (without_samples && kind == "sample");
    });
  return {out.begin(), out.end()};
}

namespace {

/// A line for each kind of stage, and the time of all.
std::string kinds_text(const plan::Plan& plan) {
  std::string out;
  double total_seconds = 0;
  bool known = true;
  for (const std::string kind : {"train", "sample", "evaluate"}) {
    std::size_t n = 0, done = 0;
    double seconds = 0;
    bool all_known = true;
    std::map<std::string, std::size_t> why;
    for (const auto& s : plan.stages) {
      if (s.kind != kind) continue;
      ++n;
      done += s.done;
      if (!s.done) {
        ++why[s.reason];
        s.seconds >= 0 ? seconds += s.seconds : all_known = false;
      } else if (!s.reason.empty()) {
        ++why[s.reason];
      }
    }
    const auto pending = plan.pending.find(kind);
    if (pending != plan.pending.end()) {
      n += pending->second;
      why["after the search"] += pending->second;
      all_known = false;
    }
    if (n == 0) continue;
    total_seconds += seconds;
    known = known && all_known;
    out += fmt::format("  {:<9} {:>6} {:>6} {:>6}  {:>9}  {}\n", kind, n, done, n - done,
                       done == n   ? ""
                       : all_known ? duration(seconds)
                                   : "?",
                       reasons(why));
  }
  if (total_seconds > 0 && known)
    out += fmt::format("  about {} in all, at the rates measured here\n", duration(total_seconds));
  return out;
}

}  // namespace

std::string plan_text(const plan::Plan& plan, const Loaded& loaded, int fd, bool all) {
  const auto done_count = static_cast<std::size_t>(
      std::count_if(plan.stages.begin(), plan.stages.end(), [](const auto& s) { return s.done; }));
  std::string out =
      fmt::format("{}: {}{} stages, {} done, {} to do\n", bold(plan.name, fd),
                  loaded.comparison.single() ? "" : shape_of(plan, loaded.comparison) + ": ",
                  plan.stages.size(), done_count, plan.stages.size() - done_count);
  if (plan.stages.size() <= 8 && !all) {
    for (const auto& s : plan.stages)
      if (!s.reason.empty() && (!s.done || s.reason[0] == '~'))
        out += fmt::format("  {:<26} {}\n", s.label, s.reason);
    return out;
  }
  out += fmt::format("  {:<9} {:>6} {:>6} {:>6}  {:>9}  {}\n", "stage", "total", "done", "to do",
                     "about", "why");
  out += kinds_text(plan);
  for (const auto& s : plan.searches)
    out += s.chosen.empty()
               ? fmt::format("  search: {} at {}: the best of {} by {}\n", s.axis,
                             s.at.empty() ? "the only cell" : manifest::text(s.at), s.cells.size(),
                             s.metric)
               : fmt::format("  search: {} at {}: {} is the best of {} by {}\n", s.axis,
                             s.at.empty() ? "the only cell" : manifest::text(s.at), s.chosen,
                             s.cells.size(), s.metric);
  if (!loaded.comparison.single()) {
    std::map<std::vector<std::string>, std::vector<std::string>> groups;
    for (const auto& [cell, keys] : loaded.left_out) groups[keys].push_back(cell);
    for (const auto& [keys, cells] : groups)
      out +=
          fmt::format("  left out of {}{}: {}\n", cells.front(),
                      cells.size() > 1 ? fmt::format(" and {} more cells", cells.size() - 1) : "",
                      fmt::join(keys, "; "));
  }
  if (!all) return out;
  for (const auto& s : plan.stages)
    out += fmt::format(
        "  {:<5} {:<40} {}{}\n", s.done ? "done" : "to do", s.label, s.reason,
        s.seconds >= 0 ? fmt::format("  {}{}", s.done ? "" : "about ", duration(s.seconds)) : "");
  return out;
}

void add_plan(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand(
      "plan", "what run would do: cells and stages, what is done, what is to do and why");
  auto arguments = std::make_shared<ManifestArguments>();
  auto results = std::make_shared<std::string>("results");
  auto json = std::make_shared<bool>(false), all = std::make_shared<bool>(false);
  arguments->add(*verb);
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  verb->add_flag("--why", *all, "every stage with its reason");
  verb->add_flag("--json", *json, "as JSON on stdout");
  verb->callback([=, &code] {
    Loaded loaded;
    code = load_manifest(*arguments, *json, loaded);
    if (code != done) return;
    const auto plan = plan::make_plan(loaded.comparison, loaded.cells, *results);
    if (*json)
      std::cout << plan_json(plan, loaded).dump(1) << "\n";
    else
      std::cout << plan_text(plan, loaded, STDOUT_FILENO, *all) << networks_text(loaded.networks);
  });
}

}  // namespace scorelab::cli
