#include <fmt/format.h>
#include <hdf5.h>
#include <scorelab/version.h>

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <thread>

#include "cli/command.h"
#include "cli/hosts.h"
#include "cli/terminal.h"
#include "params/data_path.h"

namespace scorelab::cli {
namespace {

Json devices() {
  int code = 0;
  const auto lines = ask_host({"devices"}, "", code);
  Json out = lines.empty() ? Json() : Json::parse(lines.back(), nullptr, false);
  if (!out.is_object())
    out = {{"cuda", 0},
           {"why", fmt::format("scorelab-host does not start (code {}): is LibTorch where it was "
                               "when scorelab was built? SCORELAB_TORCH=DIR names another",
                               code)}};
  out["cpu_threads"] = std::thread::hardware_concurrency();
  return out;
}

Json data_sets() {
  Json out = Json::object();
  for (const auto& folder : data_folders())
    for (const char* name : {"digits", "mnist", "fashion-mnist", "cifar10"})
      if (fs::exists(folder / name) && !out.contains(name)) out[name] = (folder / name).string();
  return out;
}

}  // namespace

void add_doctor(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand(
      "doctor", "versions, devices, plugin folders, what was skipped and why, data sets found");
  auto folders = std::make_shared<std::vector<std::string>>();
  auto json = std::make_shared<bool>(false);
  verb->add_option("--plugins", *folders, "a further folder of plugins")->allow_extra_args(false);
  verb->add_flag("--json", *json, "as JSON");
  verb->callback([=, &code] {
    code = done;
    const auto catalog = open_catalog({folders->begin(), folders->end()});
    unsigned h5[3];
    H5get_libversion(&h5[0], &h5[1], &h5[2]);
    Json skipped = Json::array(), searched = Json::array();
    for (const auto& s : catalog.skipped())
      skipped.push_back({{"file", s.file.string()}, {"reason", s.reason}});
    for (const auto& f : catalog.folders())
      searched.push_back({{"folder", f.string()}, {"exists", fs::exists(f)}});
    const Json all{{"schema", 1},
                   {"scorelab", SCORELAB_VERSION},
                   {"plugin_api", SCORELAB_API_VERSION},
                   {"libtorch", SCORELAB_TORCH_VERSION},
                   {"hdf5", fmt::format("{}.{}.{}", h5[0], h5[1], h5[2])},
                   {"compiler", __VERSION__},
                   {"devices", devices()},
                   {"plugin_folders", searched},
                   {"plugins", catalog.entries().size()},
                   {"skipped", skipped},
                   {"data_sets", data_sets()},
                   {"cache", cache_folder().string()}};
    if (*json) {
      std::cout << all.dump(1) << "\n";
      return;
    }
    std::cout << fmt::format("scorelab {} (plugin API {}), LibTorch {}, HDF5 {}, compiler {}\n",
                             SCORELAB_VERSION, SCORELAB_API_VERSION, SCORELAB_TORCH_VERSION,
                             all["hdf5"].get<std::string>(), __VERSION__);
    const Json& d = all["devices"];
    const auto why = d["why"].get<std::string>();
    std::cout << fmt::format("devices: cpu with {} threads; {} CUDA{}\n", d["cpu_threads"].dump(),
                             d["cuda"].dump(), why.empty() ? "" : " (" + why + ")");
    std::cout << fmt::format("plugins: {}\n", catalog.entries().size());
    for (const auto& f : searched)
      std::cout << fmt::format("  folder {}{}\n", f["folder"].get<std::string>(),
                               f["exists"] == true ? "" : "  (there is no such folder)");
    for (const auto& s : skipped)
      std::cout << fmt::format("  skipped {}: it {}\n", s["file"].get<std::string>(),
                               s["reason"].get<std::string>());
    std::cout << "data sets found:"
              << (all["data_sets"].empty() ? " none (SCORELAB_DATA names their folder)" : "")
              << "\n";
    for (const auto& [name, folder] : all["data_sets"].items())
      std::cout << fmt::format("  {:<14} {}\n", name, folder.get<std::string>());
    std::cout << fmt::format("cache: {}\n", cache_folder().string());
  });
}

}  // namespace scorelab::cli
