#include "host/weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>

#include "host/stage.h"
#include "record/checkpoint.h"
#include "record/files.h"

namespace scorelab::host {

void load_weights(const std::filesystem::path& results, const Json& spec, Network& network, const SampleOptions& options,
                  const std::function<void(const std::string&)>& damaged) {
  const double ema = options.ema;
  const std::int64_t step = options.step;
  const auto stage = record::stage_folder(results, spec.at("trained"));
  const Json trained = record::read_json(stage / "stage.json");
  if (trained.is_null() || (ema > 0 && std::find(trained["ema"].begin(), trained["ema"].end(), Json(ema)) == trained["ema"].end()))
    throw NotReady();
  if (step > 0 && std::find(trained["keep"].begin(), trained["keep"].end(), Json(step)) == trained["keep"].end()) throw NotReady();
  const auto folder = step > 0 ? stage / "kept" / std::to_string(step) : stage;
  const auto found = record::load_checkpoint(folder, damaged);
  if (!found) throw Error("the training's checkpoint is gone: " + (folder / "checkpoint.h5").string());
  if (step == 0 && found->step != record::read_json(stage / "spec.json").at("train").at("steps"))
    throw Error(fmt::format("the training's last checkpoint is damaged (what is left is of step {}); remove {} to train again", found->step,
                            (stage / "stage.json").string()));
  const std::string group = ema > 0 ? fmt::format("ema/{}", ema) : "parameters";
  NamedTensors parameters = network.parameters();
  const auto& stored = found->groups.at(group);
  if (stored.size() != parameters.size()) throw Error("the checkpoint is of another network");
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const at::Tensor value = to_tensor(stored[i].second);
    if (stored[i].first != parameters[i].first || value.sizes() != parameters[i].second.sizes())
      throw Error("the checkpoint is of another network: " + stored[i].first);
    parameters[i].second.set_data(value.to(parameters[i].second.options()));
  }
}

}  // namespace scorelab::host
