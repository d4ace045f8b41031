#pragma once
#include <ATen/ATen.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "certify/certify.h"
#include "setup/experiment.h"

namespace scorelab::certify {

/// What a check found: it throws Failed, or Skipped with the reason, or says what it measured.
class Failed : public Error {
 public:
  using Error::Error;
};
class Skipped : public Error {
 public:
  using Error::Error;
};

/// A config of one of scorelab's own plugins, with parameters that differ from its defaults.
Json own(const Json& request, const std::string& kind, const std::string& name,
         Json params = Json::object());

/// The Gaussian target: dimensions alternate between two means and two standard deviations.
constexpr int dimensions = 64;
constexpr double target_mean[2] = {0.3, -0.2}, target_std[2] = {0.5, 0.8};

/// A process and a data set whose law is known, as the parts of a stage's spec.
struct World {
  Json scheduler, dataset;
  std::string dtype = "float64";
  std::int64_t chunk = 64;
  std::string noise = "independent";
  bool corrector = false;  ///< the component is the corrector of predictor-corrector there
};

/// A sampler under test in a world, with the exact network.
class Rig {
 public:
  Rig(const Json& request, const World& world);

  /// A fresh sampler with these parameters changed.
  Sampling sampling(const Json& changes = Json::object(), std::int64_t count = 64,
                    std::uint64_t seed = 1);
  /// The component's config with a budget turned into steps.
  Json within(const Json& changes);
  at::Tensor draw(Sampling& sampling, std::int64_t count) const;
  const Scheduler& scheduler() const { return *setup_.scheduler; }
  const Law& law() const { return *setup_.law; }
  std::atomic<bool> stop{false};

 private:
  Json configured(const Json& changes) const;
  Json spec_, component_;
  schema::Schema schema_;
  Json around_;  // predictor-corrector, where the component is its corrector
  host::Setup setup_;
};

/// The worlds that a sampler's needs allow: VP, VE and sub-VP, or a discrete process, or one level;
/// `law`: "gaussian" or "mixture".
std::vector<World> worlds(const Json& request, const std::string& law);
/// `vp`, of a world.
std::string name(const World& world);
/// Whether the component has the SDK's time grid among its parameters.
bool has_grid(const Json& request);
/// {"steps": n} where it has a time grid; otherwise what the request says is `shortened`, if
/// anything.
Json steps(const Json& request, std::int64_t n);
/// What shortens a sampler without a grid that makes more than 500 evaluations: a tenth of its
/// whole numbers from 20 on. For checks that do not ask how good its samples are.
Json shortened(const Json& request);
/// Values other than the default that a parameter may take.
std::vector<Json> others(const schema::Param& p);
/// What makes a parameter active, by the conditions that it states.
Json activated(const schema::Schema& schema, const schema::Param& p);
/// Whether it samples the data: a step that stays at one level does not.
bool walks(const Json& request);

Json check_sampler(const std::string& check, const Json& request);
/// Of samples beside known laws: exactness, orders, and the figure's curve.
Json check_sampler_law(const std::string& check, const Json& request);
Json check_dataset(const std::string& check, const Json& request);
Json check_guide(const std::string& check, const Json& request);
Json check_initial(const std::string& check, const Json& request);
Json check_metric(const std::string& check, const Json& request);
Json check_network(const std::string& check, const Json& request);
Json check_objective(const std::string& check, const Json& request);
Json check_scheduler(const std::string& check, const Json& request);
Json check_space(const std::string& check, const Json& request);

}  // namespace scorelab::certify
