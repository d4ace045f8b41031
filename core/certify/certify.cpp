#include "certify/certify.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "catalog/stamp.h"
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

Json parameters(const Json& request) {
  const auto schema = schema::from_json(request.at("schema"));
  for (const auto& p : schema.params) {
    const auto wrong = [&](const std::string& what) {
      return Failed(fmt::format("`{}` {}", p.name, what));
    };
    if (p.doc.size() < 3) throw wrong("has no text that says what it is");
    if (p.initial.is_number() && p.low && (p.initial < *p.low || p.initial > *p.high))
      throw wrong(fmt::format("has the default {}, which is outside of its bounds {} to {}",
                              p.initial.dump(), *p.low, *p.high));
    if (p.type == "string" && !p.words.empty() &&
        std::find(p.words.begin(), p.words.end(), p.initial.get<std::string>()) == p.words.end())
      throw wrong(fmt::format("has the default {}, which is none of its words", p.initial.dump()));
    if ((p.type == "int" || p.type == "float") && !p.low)
      throw wrong("has no bounds: .range(low, high)");
    for (const auto& w : p.whens)
      if (!schema.find(w.key))
        throw wrong(fmt::format("depends on `{}`, which is not declared", w.key));
  }
  return {{"detail", fmt::format("{} declared", schema.params.size())}};
}

Json checked(const std::string& check, const Json& request) {
  const std::string kind = request["component"]["kind"];
  if (check == "library") return library(request);
  if (check == "parameters") return parameters(request);
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
