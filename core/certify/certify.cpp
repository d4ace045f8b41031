#include "certify/certify.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "catalog/stamp.h"
#include "certify/checks.h"
#include "certify/rig.h"

namespace scorelab::certify {
namespace {

Json library(const Json& request) {
  const std::string file = request["component"]["file"];
  const auto symbols = catalog::exported_symbols(file);
  if (symbols != std::vector<std::string>{"scorelab_create"})
    throw Failed(fmt::format(
        "it exports {}; a plugin exports scorelab_create alone: build it with scorelab_add_plugin",
        fmt::join(symbols, ", ")));
  const auto stamp = catalog::read_stamp(file);
  if (stamp.summary.empty()) throw Failed("its stamp has no summary");
  if (std::ranges::count(stamp.version, '.') != 2)
    throw Failed(
        fmt::format("its version is `{}`; expected three numbers, such as 1.0.0", stamp.version));
  return {{"detail", fmt::format("{} {}", stamp.name, stamp.version)}};
}

/// Why a parameter cannot have a value; empty where it can.
std::string unfit(const schema::Param& p, const Json& value) {
  if (p.low && value.is_number() && (value < *p.low || value > *p.high))
    return fmt::format("{}, which is outside of its bounds {} to {}", value.dump(), *p.low,
                       *p.high);
  if (p.type == "string" && !p.words.empty() &&
      std::find(p.words.begin(), p.words.end(), value.get<std::string>()) == p.words.end())
    return fmt::format("{}, which is none of its words", value.dump());
  std::string why;
  if (value.is_array())
    for (const auto& one : value)
      if (why.empty() && one.is_number()) why = unfit(p, one);
  return why;
}

/// What they set can be set, and its parts go together.
void presets(const schema::Schema& schema, const Json& component) {
  for (const auto& preset : schema.presets) {
    const auto wrong = [&](const std::string& what) {
      return Failed(fmt::format("the preset \"{}\" {}", preset.name, what));
    };
    Json with = component;
    with["params"].update(preset.values);
    for (const auto& [name, value] : preset.values.items()) {
      const schema::Param& p = *schema.find(name);
      if (const std::string why = unfit(p, value); !why.empty())
        throw wrong(fmt::format("gives `{}` the value {}", name, why));
      if (!schema::holds(p.whens, with["params"]))
        throw wrong(fmt::format("sets `{}`, which has no effect there: it needs {}", name,
                                schema::words(p.whens)));
    }
    try {
      host::check_all(with);
    } catch (const Error& e) {
      throw wrong(fmt::format("is refused: {}", e.what()));
    }
  }
}

Json parameters(const Json& request) {
  const auto schema = schema::from_json(request.at("schema"));
  for (const auto& p : schema.params) {
    const auto wrong = [&](const std::string& what) {
      return Failed(fmt::format("`{}` {}", p.name, what));
    };
    if (p.doc.size() < 3) throw wrong("has no text that says what it is");
    if (p.initial.is_number() || p.initial.is_string())
      if (const std::string why = unfit(p, p.initial); !why.empty())
        throw wrong("has the default " + why);
    if ((p.type == "int" || p.type == "float") && !p.low)
      throw wrong("has no bounds: .range(low, high)");
  }
  presets(schema, request.at("component"));
  return {{"detail", fmt::format("{} declared", schema.params.size())}};
}

Json checked(const std::string& check, const Json& request) {
  const std::string kind = request["component"]["kind"];
  const auto known = checks_of(kind);
  const bool drawn = check == "curve";  // no check: the points of the certificate's figure
  if (!drawn &&
      std::none_of(known.begin(), known.end(), [&](const Check& c) { return c.name == check; }))
    throw Error(fmt::format("certificates of the kind {} have no check `{}`", kind, check));
  if (check == "library") return library(request);
  if (check == "parameters") return parameters(request);
  for (const auto& p : schema::from_json(request.at("schema")).params)
    if (p.required && p.whens.empty())
      throw Skipped(
          fmt::format("`{}` has no default, and components are tried with theirs", p.name));
  using Checks = Json (*)(const std::string&, const Json&);
  static const std::map<std::string, Checks> of_kinds{
      {"dataset", check_dataset}, {"guide", check_guide},         {"initial", check_initial},
      {"metric", check_metric},   {"network", check_network},     {"objective", check_objective},
      {"sampler", check_sampler}, {"scheduler", check_scheduler}, {"space", check_space},
      {"step", check_sampler}};
  return of_kinds.at(kind)(check, request);
}

}  // namespace

Json run_check(const Json& request) {
  at::set_num_threads(1);
  const c10::AutoGradMode no_grad(false);
  Json out;
  try {
    out = checked(request.at("check"), request);
    out["outcome"] = "pass";
  } catch (const Skipped& e) {
    out = {{"outcome", "skip"}, {"detail", e.what()}};
  } catch (const std::exception& e) {
    out = {{"outcome", "fail"}, {"detail", e.what()}};
  } catch (...) {
    out = {{"outcome", "fail"}, {"detail", "it threw something that is no std::exception"}};
  }
  return out;
}

}  // namespace scorelab::certify
