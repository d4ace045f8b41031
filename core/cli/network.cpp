#include "cli/network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/defaults.h"
#include "cli/hosts.h"

namespace scorelab::cli {
namespace {

/// `35,746,307`
std::string grouped(std::int64_t n) {
  return n < 1000 ? std::to_string(n) : fmt::format("{},{:03}", grouped(n / 1000), n % 1000);
}

/// `6.06 G`
std::string rounded(double n) {
  for (const auto& [unit, size] : {std::pair{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}})
    if (n >= size) return fmt::format("{:.3g} {}", n / size, unit);
  return fmt::format("{:.0f}", n);
}

std::string cost_text(const Json& cost) {
  std::string out = grouped(cost.at("parameters")) + " parameters";
  if (cost.contains("multiply_adds"))
    out += fmt::format(", {} multiply-adds an evaluation of one sample",
                       rounded(cost["multiply_adds"]));
  return out;
}

void apply_preset(Json& network, const std::string& preset, const schema::Schema& schema) {
  if (preset.empty()) return;
  const auto found = std::find_if(schema.presets.begin(), schema.presets.end(),
                                  [&](const schema::Preset& p) { return p.name == preset; });
  if (found == schema.presets.end()) {
    std::vector<std::string> names;
    for (const auto& p : schema.presets) names.push_back(p.name);
    throw Error(fmt::format("network `{}` has no preset `{}`; presets: {}",
                            network["plugin"].get<std::string>(), preset,
                            names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
  }
  for (const auto& [name, value] : found->values.items()) network["params"][name] = value;
}

/// A line for each module, whose tensors have its name in front.
std::string rows_of(const Json& layers) {
  struct Row {
    std::string name, tensors;
    std::int64_t count = 0;
  };
  std::vector<Row> rows;
  std::size_t width = 5, tensors_width = 7;
  for (const auto& layer : layers) {
    const std::string full = layer.at("name");
    const auto dot = full.rfind('.');
    const std::string name = dot == full.npos ? "" : full.substr(0, dot),
                      tensor = dot == full.npos ? full : full.substr(dot + 1);
    if (rows.empty() || rows.back().name != name || name.empty()) rows.push_back({name, "", 0});
    Row& row = rows.back();
    const auto shape = layer.at("shape").get<std::vector<std::int64_t>>();
    row.tensors += fmt::format("{}{} [{}]{}", row.tensors.empty() ? "" : ", ", tensor,
                               fmt::join(shape, ", "), layer.at("trains") ? "" : " (fixed)");
    std::int64_t count = layer.at("trains") ? 1 : 0;
    for (const auto n : shape) count *= n;
    row.count += count;
    width = std::max(width, name.size());
    tensors_width = std::max(tensors_width, row.tensors.size());
  }
  std::string out = fmt::format("  {:<{}}  {:<{}}  {:>11}\n", "layer", width, "tensors",
                                tensors_width, "parameters");
  for (const auto& row : rows)
    out += fmt::format("  {:<{}}  {:<{}}  {:>11}\n", row.name, width, row.tensors, tensors_width,
                       grouped(row.count));
  return out;
}

}  // namespace

std::string networks_text(const Json& networks) {
  std::string out;
  for (const auto& n : networks)
    out += fmt::format("  network {}: {}\n", n.at("name").get<std::string>(), cost_text(n));
  return out;
}

std::string layers_text(const catalog::Entry& entry, const std::string& preset,
                        const std::vector<std::int64_t>& shape, catalog::Catalog& catalog) {
  Json network = defaults_of(entry, catalog);
  for (const auto& [name, value] : network["params"].items())
    if (value.is_null())
      throw Error(
          fmt::format("network `{}` needs `{}`, which a manifest gives", entry.stamp.name, name));
  apply_preset(network, preset, catalog.describe(entry).schema);
  const auto* scheduler = catalog.find({"scheduler"}, "ddpm-linear");
  Json question{{"network", network}, {"shape", shape}};
  if (scheduler) question["scheduler"] = defaults_of(*scheduler, catalog);
  int code = 0;
  const auto lines = ask_host({"layers"}, question.dump(), code);
  const Json answer = lines.empty() ? Json() : Json::parse(lines.back(), nullptr, false);
  if (!answer.is_object() || !answer.contains("layers"))
    throw Error(answer.is_object() && answer.contains("error")
                    ? answer["error"].get<std::string>()
                    : fmt::format("network `{}` ended its process with exit code {}",
                                  entry.stamp.name, code));
  return fmt::format("network {}{} for samples [{}]\n{}  {}\n", entry.stamp.name,
                     preset.empty() ? "" : ", preset " + preset + ",", fmt::join(shape, ", "),
                     rows_of(answer.at("layers")), cost_text(answer.at("cost")));
}

}  // namespace scorelab::cli
