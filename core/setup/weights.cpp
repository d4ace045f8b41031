#include "setup/weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>

#include <algorithm>
#include <map>

#include "model/stored_array.h"
#include "record/checkpoint.h"
#include "record/files.h"
#include "record/safetensors.h"

namespace scorelab::host {

NamedTensors stored_weights(const std::filesystem::path& results, const Json& spec,
                            const SampleOptions& options,
                            const std::function<void(const std::string&)>& damaged) {
  const double ema = options.ema;
  const std::int64_t step = options.step;
  const auto stage = record::stage_folder(results, spec.at("trained"));
  const Json trained = record::read_json(stage / "stage.json");
  if (trained.is_null() || (ema > 0 && std::find(trained["ema"].begin(), trained["ema"].end(),
                                                 Json(ema)) == trained["ema"].end()))
    throw NotReady();
  if (step > 0 && std::find(trained["keep"].begin(), trained["keep"].end(), Json(step)) ==
                      trained["keep"].end())
    throw NotReady();
  const auto folder = step > 0 ? stage / "kept" / std::to_string(step) : stage;
  const std::string group = ema > 0 ? fmt::format("ema/{}", ema) : "parameters";
  auto found = record::load_checkpoint(folder, damaged, group);
  const std::int64_t last = step > 0 ? step : trained.at("steps").get<std::int64_t>();
  if (!found || found->step != last) {
    record::reopen(stage);
    throw Error(
        fmt::format("the training's checkpoint {} is gone or damaged{}; the same command trains on "
                    "from what is left",
                    (folder / "checkpoint.h5").string(),
                    found ? fmt::format(" (what is left is of step {})", found->step) : ""));
  }
  NamedTensors out;
  for (const auto& [name, array] : found->groups[group]) out.emplace_back(name, to_tensor(array));
  return out;
}

NamedTensors file_weights(const std::filesystem::path& file, const std::vector<std::string>& map,
                          const NamedTensors& wanted) {
  record::Safetensors stored(file);
  std::map<std::string, std::string> by_name;  // the network's -> the file's
  for (const auto& name : stored.names()) {
    std::string own = name;
    for (const auto& entry : map) {
      const auto split = entry.find('=');
      if (const auto at = own.find(entry.substr(0, split)); at != own.npos)
        own.replace(at, split, entry.substr(split + 1));
    }
    if (!by_name.emplace(own, name).second)
      throw Error(fmt::format("{}: train.weights_map makes `{}` of both `{}` and `{}`",
                              file.string(), own, by_name[own], name));
  }
  NamedTensors out;
  std::vector<std::string> missing, left;
  for (const auto& [name, parameter] : wanted)
    if (const auto found = by_name.extract(name); found.empty())
      missing.push_back(name);
    else if (stored.shape(found.mapped()) != parameter.sizes().vec())
      throw Error(fmt::format(
          "{}: its tensor `{}` is [{}]; the network's `{}` is [{}]", file.string(), found.mapped(),
          fmt::join(stored.shape(found.mapped()), ", "), name, fmt::join(parameter.sizes(), ", ")));
    else if (missing.empty())
      out.emplace_back(name, to_tensor(stored.read(found.mapped())));
  for (const auto& [own, name] : by_name)
    left.push_back(own == name ? name : fmt::format("{} (there {})", own, name));
  const auto list = [](std::vector<std::string> names) {
    const std::size_t all = names.size(), most = 4;
    names.resize(std::min(all, most));
    return fmt::format("{}{}", fmt::join(names, ", "),
                       all > most ? fmt::format(" and {} more", all - most) : "");
  };
  if (!missing.empty() || !left.empty())
    throw Error(
        fmt::format("{} does not fit the network: of its {} parameters {} are missing{}{}; {} "
                    "tensors of the file are not expected{}{}. train.weights_map renames",
                    file.string(), wanted.size(), missing.size(), missing.empty() ? "" : ", ",
                    list(missing), left.size(), left.empty() ? "" : ", ", list(left)));
  return out;
}

void load_weights(const std::filesystem::path& results, const Json& spec, Network& network,
                  const SampleOptions& options,
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
