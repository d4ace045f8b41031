#include "setup/component.h"

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <map>
#include <optional>

#include "catalog/catalog.h"
#include "model/step_sampler.h"
#include "params/data_path.h"
#include "params/sha256.h"
#include "record/files.h"
#include "setup/crash.h"
#include "setup/load.h"

namespace scorelab::host {

PluginError::PluginError(const std::string& plugin, const std::string& message)
    : Error(fmt::format("{}: {}", plugin, message)), plugin(plugin) {}
PluginError::~PluginError() = default;

std::string title(const Json& config) {
  return fmt::format("{} `{}`", config.at("kind").get<std::string>(),
                     config.at("plugin").get<std::string>());
}

void call(const std::string& plugin, const std::function<void()>& body) {
  const auto space = plugin.find(' ');
  const Entering entering(
      plugin.substr(0, space),
      space == plugin.npos ? "" : plugin.substr(space + 2, plugin.size() - space - 3));
  try {
    body();
  } catch (const Stopped&) {
    throw;
  } catch (const PluginError&) {
    throw;  // a slot's component, named already
  } catch (const record::Damaged&) {
    throw;
  } catch (const record::IoError&) {
    throw;  // what it called wrote a file: no plugin is to blame
  } catch (const c10::Error& e) {
    throw PluginError(plugin, e.what_without_backtrace());
  } catch (const std::exception& e) {
    throw PluginError(plugin, e.what());
  } catch (...) {
    throw PluginError(plugin, "threw something that is no std::exception");
  }
}

namespace {

void read_params(Component& component, const Json& values) {
  Params p;
  component.params(p);
  for (const auto& spec : p.specs)
    if (values.contains(spec->name))
      schema::assign(*spec, values[spec->name],
                     [](const std::string&, const Json& config) { return make(config); });
}

std::shared_ptr<Component> bare(const Json& config) {
  const Plugin& plugin = load(config.at("file").get<std::string>(), config.value("sha256", ""));
  if (plugin.stamp.kind != config.at("kind") || plugin.stamp.name != config.at("plugin"))
    throw Error(fmt::format("{} is {} `{}`, not {}", plugin.file.string(), plugin.stamp.kind,
                            plugin.stamp.name, title(config)));
  return create(plugin);
}

std::map<const Component*, std::string>& titles() {
  static std::map<const Component*, std::string> all;
  return all;
}

/// Does `f` for each component that a slot of this one holds.
void for_slots(Component& component, const Json& config,
               const std::function<void(Component&, const Json&)>& f) {
  Params p;
  component.params(p);
  for (const auto& spec : p.specs)
    if (auto* slot = std::get_if<SlotBase*>(&spec->target); slot && (*slot)->component())
      f(*(*slot)->component(), config.at("params").at(spec->name));
}

void check_tree(Component& component, const Json& config) {
  call(title(config), [&] { component.check(); });
  for_slots(component, config, check_tree);
}

}  // namespace

void expect_unchanged(const std::string& who, const Json& files) {
  // path -> identity, SHA-256
  static std::map<std::string, std::pair<std::string, std::string>> known;
  for (const auto& [path, hash] : files.items()) {
    const std::string identity = catalog::identity(path);
    if (identity.empty()) throw PluginError(who, fmt::format("{} is not there any more", path));
    auto& one = known[path];
    if (one.first != identity) one = {identity, sha256_file(path)};
    if (one.second != hash)
      throw PluginError(
          who,
          fmt::format("{} was changed since it was planned; the same command plans again", path));
  }
}

std::shared_ptr<Component> make(const Json& config) {
  std::shared_ptr<Component> out;
  call(title(config), [&] {
    out = bare(config);
    read_params(*out, config.at("params"));
  });
  titles()[out.get()] = title(config);
  return out;
}

std::string title_of(const Component& component) {
  const auto it = titles().find(&component);
  return it == titles().end() ? "component" : it->second;
}

void set_title(const Component& component, const std::string& title) {
  titles()[&component] = title;
}

std::shared_ptr<Sampler> make_sampler(const Json& config) {
  if (config.at("kind") == "sampler") return make_as<Sampler>(config);
  std::shared_ptr<Sampler> out;
  call(title(config), [&] {
    auto step = std::dynamic_pointer_cast<Step>(bare(config));
    titles()[step.get()] = title(config);
    out = std::make_shared<StepSampler>(step);
    titles()[out.get()] = title(config);
    read_params(*out, config.at("params"));
  });
  return out;
}

void check_all(const Json& config) {
  if (config.at("kind") == "step")
    return call(title(config), [&] { make_sampler(config)->check(); });
  check_tree(*make(config), config);
}

void prepare(const std::shared_ptr<Component>& component, const Json& config,
             const Setting& setting, const Models& models) {
  const auto one = [&](Component& c, const Json& of) {
    Params p;
    c.params(p);
    for (const auto& spec : p.specs)
      if (auto* ref = std::get_if<ModelRef*>(&spec->target))
        if (const auto found = models.find((*ref)->name()); found != models.end())
          (*ref)->bind(found->second);
    const Json files = of.value("files", Json::object());
    expect_unchanged(title(of), files);
    std::optional<DeclaredData> declared;
    if (of.contains("files")) declared.emplace(files);
    const c10::AutoGradMode no_grad(false);
    call(title(of), [&] { c.prepare(setting); });
  };
  one(*component, config);
  for_slots(*component, config, one);
}

}  // namespace scorelab::host
