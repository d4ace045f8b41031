#include "host/describe.h"

#include <scorelab/error.h>

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

Json verdicts(const Json& components) {
  Json out = Json::array();
  for (const auto& config : components) {
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
