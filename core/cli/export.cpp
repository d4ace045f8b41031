#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <set>

#include "cli/command.h"
#include "cli/export.h"
#include "cli/observations.h"
#include "cli/results.h"
#include "cli/where.h"
#include "compare/table.h"
#include "record/checkpoint.h"
#include "record/safetensors.h"

namespace scorelab::cli {
namespace {

/// Which weights of a training a run samples with; a run without a sampler: the last ones.
struct Which {
  std::string key;
  double ema;
  std::int64_t step;  ///< 0: the last
  auto operator<=>(const Which&) const = default;
};

/// Those weights beside the run's whole configuration. `last`: the training's last step.
void write_weights(const fs::path& file, const fs::path& stage, const Which& which,
                   std::int64_t last, const Json& resolved) {
  const auto& [key, ema, step] = which;
  const std::string group = ema > 0 ? fmt::format("ema/{}", ema) : "parameters";
  const auto folder = step > 0 ? stage / "kept" / std::to_string(step) : stage;
  std::string why = fmt::format("{} is not there", (folder / "checkpoint.h5").string());
  const auto found = record::load_checkpoint(
      folder, [&](const std::string& said) { why = said; }, group);
  if (!found || found->groups.empty() || found->step != (step > 0 ? step : last))
    throw Error(
        fmt::format("its weights are not whole: {}; run the experiment again, then export", why));
  record::save_safetensors(file, found->groups.at(group),
                           {{"format", "pt"},
                            {"weights", group},
                            {"step", std::to_string(found->step)},
                            {"config", resolved.dump()}});
}

int export_weights(const Launched& l, const fs::path& folder) {
  record::make_folder(folder);
  // weights that several runs share are written once, under the first one's name
  std::set<Which> exported;
  for (const auto& r : l.replicates)
    for (const auto& s : r.stages) {
      const Json& resolved = l.cells[r.cell].resolved;
      const Json sample = resolved.value("sample", Json::object());
      const Which which{s.key, sample.value("ema", 0.0), sample.value("step", std::int64_t{0})};
      if (s.kind != "train" || !exported.insert(which).second) continue;
      const Json trained = stored_result(l, s);
      if (trained.is_null()) {
        std::cerr << fmt::format("left out: {}: its training is not done\n", l.title(r));
        continue;
      }
      const fs::path file = folder / (file_name(l, r) + ".safetensors");
      write_weights(file, record::stage_folder(l.results, s.key), which,
                    trained.value("steps", std::int64_t{0}), resolved);
      std::cout << file.string() << "\n";
    }
  if (exported.empty())
    throw NothingThere(fmt::format("`{}` trains nothing: there are no weights to export", l.name));
  return done;
}

/// A line for each run; its columns are the keys of all.
void print_csv(const Json& runs) {
  std::vector<Json> lines;
  for (const auto& r : runs) lines.push_back(flat(r));
  // what says where a run is and what it measured, then every setting
  std::vector<std::string> columns, settings;
  for (std::size_t i = 0; i < lines.size(); ++i)
    for (const auto& [key, value] : lines[i].items()) {
      auto& list = runs[i]["config"].contains(key) ? settings : columns;
      if (std::find(list.begin(), list.end(), key) == list.end()) list.push_back(key);
    }
  std::erase_if(settings, [&](const std::string& key) {
    return std::find(columns.begin(), columns.end(), key) != columns.end();
  });
  columns.insert(columns.end(), settings.begin(), settings.end());
  for (std::size_t i = 0; i < columns.size(); ++i)
    std::cout << (i ? "," : "") << compare::csv_quoted(columns[i]);
  std::cout << "\n";
  for (const Json& line : lines) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Json v = line.value(columns[i], Json(""));
      std::cout << (i ? "," : "")
                << compare::csv_quoted(v.is_string() ? v.get<std::string>() : v.dump());
    }
    std::cout << "\n";
  }
}

}  // namespace

std::string file_name(const Launched& l, const Launched::Replicate& r) {
  std::string name = r.folder.empty() ? l.name : l.name + "-" + r.folder;
  std::replace(name.begin(), name.end(), '/', '-');
  return name;
}

void add_export(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("export",
                                  "every run of an experiment with its place, metrics, costs and "
                                  "settings, as CSV or JSON on stdout; or its weights or samples "
                                  "as files");
  auto name = std::make_shared<std::string>(), results = std::make_shared<std::string>("results");
  auto weights = std::make_shared<std::string>(), images = std::make_shared<std::string>(),
       npz = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false), csv = std::make_shared<bool>(false);
  verb->add_option("experiment", *name, "its name, or its manifest")->required();
  verb->add_option("--results", *results, "the folder for results")->capture_default_str();
  auto* what = verb->add_option_group("what", "one of these");
  what->add_flag("--csv", *csv, "CSV (what it is without a flag)");
  what->add_flag("--json", *json, "JSON");
  what->add_option("--weights", *weights,
                   "a folder: writes the weights that each run samples with (sample.ema) as "
                   "safetensors, for load_state_dict(strict=True)");
  what->add_option("--images", *images,
                   "a folder: writes each run's samples as PNG files, a folder a run");
  what->add_option("--npz", *npz,
                   "a folder: writes each run's samples for NumPy, a file a run. arr_0: images as "
                   "bytes [n, height, width, 3], as FID tools read them, other samples as they "
                   "are; label and nfe: one a sample");
  what->require_option(0, 1);
  verb->callback([=, &code] {
    const Launched launched = load_launched(*results, experiment_name(*name, *results));
    if (!weights->empty()) return void(code = export_weights(launched, *weights));
    if (!images->empty()) return void(code = export_images(launched, *images));
    if (!npz->empty()) return void(code = export_npz(launched, *npz));
    const Json runs = runs_of(launched);
    code = done;
    if (*json)
      std::cout << Json{{"schema", 1}, {"runs", runs}}.dump(1) << "\n";
    else
      print_csv(runs);
  });
}

}  // namespace scorelab::cli
