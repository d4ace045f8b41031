#include "cli/provenance.h"

#include <fmt/format.h>
#include <scorelab/version.h>
#include <sys/utsname.h>

#include <cstdio>
#include <fstream>

#include "record/files.h"

namespace scorelab::cli {
namespace {

using schema::Json;

std::string output_of(const std::string& command) {
  std::string out;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char buffer[4096];
    while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
    pclose(pipe);
  }
  return out;
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string cpu() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(": ") + 2);
  return "";
}

void plugins_of(const Json& value, Json& out) {
  if (value.is_object() && value.contains("plugin") && value.contains("sha256"))
    out[value["kind"].get<std::string>() + "/" + value["plugin"].get<std::string>()] =
        fmt::format("{} sha256:{}", value["id"].get<std::string>(), value["sha256"].get<std::string>());
  if (value.is_structured())
    for (const auto& inner : value) plugins_of(inner, out);
}

}  // namespace

Json provenance(const std::vector<plan::CellPlan>& cells, const std::filesystem::path& folder, const std::string& command) {
  const std::string git = "git -C " + quoted(folder.empty() ? "." : folder.string()) + " ";
  std::string sha = output_of(git + "rev-parse HEAD 2>/dev/null"), diff = sha.empty() ? "" : output_of(git + "diff HEAD 2>/dev/null");
  while (!sha.empty() && sha.back() == '\n') sha.pop_back();
  if (diff.size() > 60000) diff = diff.substr(0, 60000) + "\n[cut: " + std::to_string(diff.size()) + " bytes in all]\n";
  utsname system{};
  uname(&system);
  Json plugins = Json::object();
  for (const auto& [at, e] : cells) {
    for (const Json* part : {&e.dataset, &e.scheduler, &e.network, &e.objective, &e.sampler, &e.guides, &e.metrics})
      plugins_of(*part, plugins);
    if (!e.sampler.is_null()) plugins_of(e.sample, plugins);  // its start
    for (const auto& [name, model] : e.models)
      for (const Json* part : {&model->dataset, &model->scheduler, &model->network, &model->objective}) plugins_of(*part, plugins);
  }
  return {{"git_sha", sha},
          {"git_diff", diff},
          {"host", system.nodename},
          {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
          {"cpu", cpu()},
          {"scorelab", SCORELAB_VERSION},
          {"libtorch", SCORELAB_TORCH_VERSION},
          {"compiler", __VERSION__},
          {"command", command},
          {"launched", record::now()},
          {"plugins", plugins}};
}

}  // namespace scorelab::cli
