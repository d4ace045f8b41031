#include "cli/provenance.h"

#include <fmt/format.h>
#include <scorelab/version.h>
#include <sys/utsname.h>

#include <fstream>

#include "cli/commit.h"
#include "params/walk.h"
#include "record/files.h"

namespace scorelab::cli {
namespace {

using schema::Json;

std::string cpu() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(": ") + 2);
  return "";
}

void plugins_of(const Json& value, Json& out) {
  schema::for_each_component(value, [&](const Json& c) {
    if (c.contains("sha256"))
      out[c["kind"].get<std::string>() + "/" + c["plugin"].get<std::string>()] = {
          {"id", c["id"]}, {"sha256", c["sha256"]}, {"file", c["file"]}};
  });
}

}  // namespace

Json provenance(const std::vector<plan::CellPlan>& cells, const std::filesystem::path& folder,
                const std::string& command) {
  const Commit commit = commit_of(folder);
  utsname system{};
  uname(&system);
  Json plugins = Json::object(), data = Json::object();
  for (const auto& [at, e] : cells) {
    for (const Json* part : {&e.dataset, &e.holdout, &e.space, &e.scheduler, &e.network,
                             &e.objective, &e.sampler, &e.guides, &e.metrics})
      plugins_of(*part, plugins);
    if (!e.sampler.is_null()) plugins_of(e.sample, plugins);  // its start
    data.update(e.files);
    for (const auto& [name, model] : e.models) data.update(model->files);
    for (const auto& [name, model] : e.models)
      for (const Json* part : {&model->dataset, &model->holdout, &model->space, &model->scheduler,
                               &model->network, &model->objective})
        plugins_of(*part, plugins);
  }
  return {{"git_sha", commit.sha},
          {"git_diff", commit.diff},
          {"host", system.nodename},
          {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
          {"cpu", cpu()},
          {"scorelab", SCORELAB_VERSION},
          {"libtorch", SCORELAB_TORCH_VERSION},
          {"compiler", __VERSION__},
          {"command", command},
          {"launched", record::now()},
          {"plugins", plugins},
          {"data", data}};
}

}  // namespace scorelab::cli
