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
  const std::string plugin = title(spec.at("network"));
  out->call = [plugin](const std::function<void()>& body) { call(plugin, body); };
  return out;
}

Sampling Setup::sampling(const Json& sampler, const SampleOptions& options, const Json& spec, const std::atomic<bool>& stop) const {
  Sampling s;
  s.model = model(spec, stop);
  s.model->chunk = read_table<RunOptions>(spec.at("run")).chunk;
  s.model->max_nfe = options.max_nfe;
  s.sampler = make_sampler(sampler);
  host::prepare(s.sampler, sampler, setting());
  s.data = data;
  s.options = options;
  s.seed = spec.at("seed");
  s.tensors = tensors;
  s.call = [](const Component& component, const std::function<void()>& body) { call(title_of(component), body); };
  return s;
}

}  // namespace scorelab::host
