#include "host/describe.h"

#include <fmt/format.h>
#include <scorelab/error.h>
#include <scorelab/metric.h>

#include "model/space.h"
#include "model/step_sampler.h"
#include "setup/cost.h"
#include "setup/device.h"
#include "setup/experiment.h"
#include "setup/load.h"

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

/// What works and may still mislead: [{"plugin", "why"}]. `judges`: with the models that metrics
/// name.
Json worth_a_warning(const Json& spec, const Setup& setup, const Setup& judges) {
  Json out = Json::array();
  const Scheduler& q = *setup.scheduler;
  double alpha = 0, sigma = 0;
  bool levels = false;
  call(title(spec["scheduler"]), [&] {
    alpha = q.alpha(q.t_max()).one();
    sigma = q.sigma(q.t_max()).one();
    levels = q.t_min() < q.t_max();
  });
  const bool from_noise =
      spec["sample"]["initial"].is_object() && spec["sample"]["initial"]["plugin"] == "prior";
  if (from_noise && levels && alpha * alpha > sigma * sigma)
    out.push_back(
        {{"plugin", title(spec["scheduler"])},
         {"why",
          fmt::format("at its end alpha^2 is {:.3g} and sigma^2 {:.3g}: x_T still shows the data, "
                      "and samplers start from noise; more levels or larger betas reach further",
                      alpha * alpha, sigma * sigma)}});
  const Json metrics = spec.value("metrics", Json::object());  // items() refers to it
  for (const auto& [label, config] : metrics.items()) {
    if (config["of"] == "model" || spec["sample"]["moments"] == "exact") continue;
    const auto metric = make_as<Metric>(config);
    prepare(metric, config, judges.setting(), judges.models);
    std::int64_t needed = 0;
    call(title(config), [&] { needed = metric->needs_samples(setup.data->shape()); });
    if (spec["sample"]["count"] < needed)
      out.push_back(
          {{"plugin", title(config)},
           {"why",
            fmt::format(
                "it needs {} samples at least to say much of these data, and sample.count is {}",
                needed, spec["sample"]["count"].dump())}});
  }
  return out;
}

Json to_json(const Cost& cost) {
  Json out{{"parameters", cost.parameters}};
  if (cost.multiply_adds) out["multiply_adds"] = *cost.multiply_adds;
  return out;
}

/// {"name", "parameters", "multiply_adds"} of the network; null of one that trains nothing, or that
/// cannot be prepared without memory.
Json weight_of(const Json& spec, const Setup& setup) try {
  const Cost cost = cost_of(make_as<Network>(spec.at("network")), spec["network"], setup.setting());
  if (cost.parameters == 0) return {};
  Json out = to_json(cost);
  out["name"] = spec["network"]["plugin"];
  return out;
} catch (const std::exception&) {
  return {};  // it works with numbers alone, which is no fault
}

/// A data set of no items, for networks that ask it for its classes.
class NoItems final : public DataSet {
 public:
  explicit NoItems(std::vector<std::int64_t> shape) : shape_(std::move(shape)) {}
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return shape_; }
  at::Tensor get(const std::vector<std::int64_t>&, Noise&, Condition&) const override {
    throw Error("there are no items");
  }
  std::vector<ConditionType> conditions() const override { return {class_label(1000)}; }

 private:
  std::vector<std::int64_t> shape_;
};

/// Sets an experiment up as a stage would, without weights: whether its parts go together only they
/// can say. {"plugin", "why"}, or {"warnings", "network"}. Only metrics may name its
/// `models`.
Json set_up(const Json& whole) {
  const std::atomic<bool> never{false};
  try {
    const at::Device device = resolve_device(whole.at("run").at("device"));
    set_precision(whole.at("run").at("precision"), device);
    Json spec = whole;  // metrics ask their models about data: those need not fit the network
    spec.erase("models");
    const Setup setup(spec, at::kCPU, true);
    Json out{{"warnings", Json::array()}, {"network", weight_of(spec, setup)}};
    if (!spec.contains("sampler")) return out;
    const Json& sampler = spec["sampler"];
    const Sampling sampling = setup.sampling(sampler, spec.at("sample"), spec, never);
    const Json& params = sampler.at("params");
    // its steps are not known yet
    const bool budget = params.contains(GridKeys::nfe) && params[GridKeys::nfe].is_number() &&
                        params[GridKeys::nfe] > 0;
    if (!budget) call(title(sampler), [&] { sampling.sampler->start(*setup.scheduler); });
    if (!whole.contains("models")) {
      out["warnings"] = worth_a_warning(spec, setup, setup);
      return out;
    }
    spec["models"] = whole["models"];
    for (auto& model : spec["models"]) model["run"]["chunk"] = 1;  // they are asked for one item
    out["warnings"] = worth_a_warning(spec, setup, Setup(spec, at::kCPU, false));
    return out;
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

Json layers(const Json& request) {
  try {
    const NoItems data(request.at("shape"));
    const auto scheduler = make_as<Scheduler>(request.at("scheduler"));
    prepare(scheduler, request["scheduler"], {.shape = data.shape(), .data = &data});
    const auto network = make_as<Network>(request.at("network"));
    const DataRange space(data);
    const Cost cost = cost_of(
        network, request["network"],
        {.scheduler = scheduler.get(), .shape = data.shape(), .data = &data, .space = &space});
    Json out{{"layers", Json::array()}, {"cost", to_json(cost)}};
    for (const auto& [name, parameter] : network->parameters())
      out["layers"].push_back({{"name", name},
                               {"shape", parameter.sizes().vec()},
                               {"trains", parameter.requires_grad()}});
    return out;
  } catch (const std::exception& e) {
    return {{"error", e.what()}};
  }
}

}  // namespace scorelab::host
