#include "host/describe.h"

#include <scorelab/error.h>

#include "host/device.h"
#include "host/experiment.h"
#include "host/load.h"
#include "model/step_sampler.h"

namespace scorelab::host {
namespace {

schema::Schema schema_of(Component& component) {
  Params p;
  component.params(p);
  return schema::of(p);
}

}  // namespace

Json describe(const std::string& file) {
  try {
    const Plugin& plugin = load(file);
    Json out;
    call(plugin.stamp.kind + " `" + plugin.stamp.name + "`", [&] {
      const auto component = create(plugin);
      out["schema"] = schema::to_json(schema_of(*component));
      if (auto step = std::dynamic_pointer_cast<Step>(component)) {
        StepSampler sampler(step);
        out["as_sampler"] = schema::to_json(schema_of(sampler));
      }
    });
    return out;
  } catch (const PluginError& e) {
    const std::string what = e.what();
    return {{"error", what.substr(e.plugin.size() + 2)}};
  } catch (const std::exception& e) {
    return {{"error", e.what()}};
  }
}

namespace {

/// Sets an experiment up as a stage would, without weights: whether its parts go together only they can say. {"plugin", "why"}, or "".
Json set_up(const Json& spec) {
  const std::atomic<bool> never{false};
  try {
    resolve_device(spec.at("run").at("device"));
    const Setup setup(spec, at::kCPU, true);
    if (!spec.contains("sampler")) return "";
    const Json& sampler = spec["sampler"];
    const Sampling sampling = setup.sampling(sampler, spec.at("sample"), spec, never);
    const Json& params = sampler.at("params");
    const bool budget = params.contains("nfe") && params["nfe"].is_number() && params["nfe"] > 0;  // its steps are not known yet
    if (!budget) call(title(sampler), [&] { sampling.sampler->start(*setup.scheduler); });
    return "";
  } catch (const DeviceUnavailable& e) {
    return {{"plugin", ""}, {"why", e.what()}, {"unavailable", true}};
  } catch (const PluginError& e) {
    return {{"plugin", e.plugin}, {"why", std::string(e.what()).substr(e.plugin.size() + 2)}};
  } catch (const std::exception& e) {
    return {{"plugin", ""}, {"why", e.what()}};
  }
}

}  // namespace

Json verdicts(const Json& components) {
  Json out = Json::array();
  for (const auto& config : components) {
    if (config.contains("dataset")) {
      out.push_back(set_up(config));
      continue;
    }
    std::string verdict;
    try {
      check_all(config);
    } catch (const PluginError& e) {
      verdict = e.what();
      if (verdict.rfind(title(config), 0) == 0) verdict = verdict.substr(title(config).size() + 2);
    } catch (const std::exception& e) {
      verdict = e.what();
    }
    out.push_back(verdict);
  }
  return out;
}

}  // namespace scorelab::host
