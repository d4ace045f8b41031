#pragma once
#include <scorelab/sampler.h>
#include <scorelab/scheduler.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "params/schema.h"

namespace scorelab::host {

using schema::Json;

/// What a plugin threw, with its kind and name in front; `plugin` is "sampler `ancestral`".
class PluginError : public Error {
 public:
  PluginError(const std::string& plugin, const std::string& message);
  ~PluginError() override;
  std::string plugin;
};

/// Makes the component of a resolved config, {"plugin", "kind", "file", "params", ..}, with the
/// components in its slots: loaded, parameters read, not prepared. Throws PluginError.
std::shared_ptr<Component> make(const Json& config);

/// The same as a sampler: a bare step is wrapped with the shared time grid.
std::shared_ptr<Sampler> make_sampler(const Json& config);

template <class T>
std::shared_ptr<T> make_as(const Json& config) {
  auto out = std::dynamic_pointer_cast<T>(make(config));
  if (!out) throw Error("`" + config.at("plugin").get<std::string>() + "` is no " + T::kind);
  return out;
}

/// What make() called this component: "step `langevin`".
std::string title_of(const Component& component);
/// Gives a component that is not made of a config the title of the one whose code it runs.
void set_title(const Component& component, const std::string& title);

/// Calls check() of a component and of what its slots hold.
void check_all(const Json& config);

/// Prepares a component and what its slots hold; the models that they name are bound first.
using Models = std::map<std::string, std::shared_ptr<Model>>;
void prepare(const std::shared_ptr<Component>& component, const Json& config,
             const Setting& setting, const Models& models = {});

/// Files must be those that the plan was made with, {path: SHA-256}. One is read once a process,
/// until it changes. Throws PluginError of `who`.
void expect_unchanged(const std::string& who, const Json& files);

/// Runs a plugin's code: a crash names it, an exception becomes a PluginError (Stopped passes).
void call(const std::string& plugin, const std::function<void()>& body);
std::string title(const Json& config);

}  // namespace scorelab::host
