#include "host/weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>

#include "host/stage.h"
#include "record/checkpoint.h"
#include "record/files.h"

namespace scorelab::host {

NamedTensors stored_weights(const std::filesystem::path& results, const Json& spec, const SampleOptions& options,
                            const std::function<void(const std::string&)>& damaged) {
  const double ema = options.ema;
  const std::int64_t step = options.step;
  const auto stage = record::stage_folder(results, spec.at("trained"));
  const Json trained = record::read_json(stage / "stage.json");
  if (trained.is_null() || (ema > 0 && std::find(trained["ema"].begin(), trained["ema"].end(), Json(ema)) == trained["ema"].end()))
    throw NotReady();
  if (step > 0 && std::find(trained["keep"].begin(), trained["keep"].end(), Json(step)) == trained["keep"].end()) throw NotReady();
  const auto folder = step > 0 ? stage / "kept" / std::to_string(step) : stage;
  const std::string group = ema > 0 ? fmt::format("ema/{}", ema) : "parameters";
  auto found = record::load_checkpoint(folder, damaged, group);
  const std::int64_t last = step > 0 ? step : trained.at("steps").get<std::int64_t>();
  if (!found || found->step != last) {
    record::reopen(stage);
    throw Error(fmt::format("the training's checkpoint {} is gone or damaged{}; the same command trains on from what is left",
                            (folder / "checkpoint.h5").string(), found ? fmt::format(" (what is left is of step {})", found->step) : ""));
  }
  NamedTensors out;
  for (const auto& [name, array] : found->groups[group]) out.emplace_back(name, to_tensor(array));
  return out;
}

void load_weights(const std::filesystem::path& results, const Json& spec, Network& network, const SampleOptions& options,
                  const std::function<void(const std::string&)>& damaged) {
  const NamedTensors stored = stored_weights(results, spec, options, damaged);
  NamedTensors parameters = network.parameters();
  if (stored.size() != parameters.size()) throw Error("the checkpoint is of another network");
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const at::Tensor& value = stored[i].second;
    if (stored[i].first != parameters[i].first || value.sizes() != parameters[i].second.sizes())
      throw Error("the checkpoint is of another network: " + stored[i].first);
    parameters[i].second.set_data(value.to(parameters[i].second.options()));
  }
}

}  // namespace scorelab::host
