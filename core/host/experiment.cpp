#include "host/experiment.h"

#include <ATen/ATen.h>

#include "host/generator.h"

namespace scorelab::host {
Setup::Setup(const Json& spec, at::Device device, bool with_network) {
  const KeepGenerator keep;
  const auto run = read_table<RunOptions>(spec.at("run"));
  tensors = at::TensorOptions().dtype(run.dtype == "float64" ? at::kDouble : at::kFloat).device(device);
  scheduler = make_as<Scheduler>(spec.at("scheduler"));
  host::prepare(scheduler, spec.at("scheduler"), {*scheduler, tensors, {}, nullptr});
  data = make_as<DataSet>(spec.at("dataset"));
  host::prepare(data, spec.at("dataset"), {*scheduler, tensors, {}, nullptr});
  law = data->exact();
  if (!with_network) return;
  network = make_as<Network>(spec.at("network"));
  host::prepare(network, spec.at("network"), setting());
}

std::shared_ptr<Model::State> Setup::model(const Json& spec, const std::atomic<bool>& stop) const {
  auto out = std::make_shared<Model::State>();
  out->network = network;
  out->scheduler = scheduler;
  out->output = Output(read_table<OutputOptions>(spec.at("output")));
  out->stop = &stop;
  out->call = [](const Component& component, const std::function<void()>& body) { call(title_of(component), body); };
  return out;
}

Sampling Setup::sampling(const Json& sampler, const Json& sample, const Json& spec, const std::atomic<bool>& stop) const {
  Sampling s;
  const auto run = read_table<RunOptions>(spec.at("run"));
  s.options = read_table<SampleOptions>(sample);
  host::prepare(s.options.initial->component(), sample.at("initial"), setting());
  s.model = model(spec, stop);
  s.model->chunk = run.chunk;
  s.model->max_nfe = s.options.max_nfe;
  for (const auto& guide : spec.at("guides")) {
    s.model->guides.push_back(make_as<Guide>(guide));
    host::prepare(s.model->guides.back(), guide, setting());
  }
  s.sampler = make_sampler(sampler);
  host::prepare(s.sampler, sampler, setting());
  s.data = data;
  s.paths = run.noise == "path";
  s.seed = spec.at("seed");
  s.tensors = tensors;
  s.call = [](const Component& component, const std::function<void()>& body) { call(title_of(component), body); };
  return s;
}

Json Setup::within_budget(const Json& sampler, const Json& sample, const Json& spec, const std::atomic<bool>& stop) const {
  const Json& params = sampler.at("params");
  const std::int64_t nfe = params.contains("nfe") && params["nfe"].is_number() ? params["nfe"].get<std::int64_t>() : 0;
  if (nfe == 0) return sampler;
  Json out = sampler;
  out["params"]["nfe"] = 0;
  const auto cost = [&](std::int64_t steps) -> std::optional<std::int64_t> {
    out["params"]["steps"] = steps;
    Sampling s = sampling(out, sample, spec, stop);
    std::optional<std::int64_t> spent;
    try {
      call(title(sampler), [&] { spent = dry_run(s, nfe); });
    } catch (const PluginError&) {
      if (steps == 1) throw;  // more steps than it can make; a fault of its own shows in the sampling
    }
    return spent;
  };
  std::int64_t steps = 0;
  call(title(sampler), [&] { steps = steps_within(nfe, cost); });
  out["params"]["steps"] = steps;
  return out;
}

}  // namespace scorelab::host
