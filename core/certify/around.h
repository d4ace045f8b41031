#pragma once
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "certify/rig.h"

namespace scorelab::certify {

/// The parts that a component is prepared with: VP, a Gaussian mixture with its exact network,
/// float64.
struct Around {
  explicit Around(const Json& request, const Json& instead = Json::object())
      : Around(own_parts(request, instead)) {}
  template <class T>
  std::shared_ptr<T> make(const Json& config) const {
    auto out = host::make_as<T>(config);
    host::check_all(config);
    host::prepare(out, config, setup.setting());
    return out;
  }
  Json spec;
  host::Setup setup;
  std::atomic<bool> stop{false};

 private:
  struct Spec {
    Json json;
  };
  static Spec own_parts(const Json& request, const Json& instead) {
    Json spec{{"dataset",
               own(request, "dataset", "gaussian-mixture", {{"modes", 4}, {"separation", 4.0}})},
              {"scheduler", own(request, "scheduler", "vp")},
              {"network", own(request, "network", "exact-gaussian-mixture", {{"labels", true}})},
              {"output", nullptr},
              {"run", {{"precision", "float64"}}}};
    spec.update(instead);
    return {std::move(spec)};
  }
  explicit Around(Spec parts) : spec(std::move(parts.json)), setup(spec, at::kCPU, true) {}
};

inline bool has(const std::vector<schema::Ability>& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(), [&](const auto& a) { return a.name == name; });
}

inline void same(bool equal, const char* what) {
  if (!equal) throw Failed(what);
}

inline constexpr const char* drew =
    "it drew from LibTorch's default generator: every draw belongs to the Noise that it is handed";

}  // namespace scorelab::certify
