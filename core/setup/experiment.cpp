#include "setup/experiment.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <tuple>

#include "model/condition.h"
#include "model/holdout.h"
#include "model/space.h"
#include "model/stored_array.h"
#include "setup/device.h"
#include "setup/generator.h"
#include "setup/weights.h"

namespace scorelab::host {
namespace {

/// What a component answers; where that fails, the error names it.
template <class Ask>
auto answer(const Json& config, const Ask& ask) {
  std::optional<decltype(ask())> out;
  call(title(config), [&] { out.emplace(ask()); });
  return *std::move(out);
}

/// Throws Error unless a model works in the experiment's space, where parts of the experiment ask
/// it.
void expect_same_space(const std::string& name, const Json& own_spec, const Space& own,
                       const Json& spec, const Space& space) {
  const auto of_model = own.affine(), of_experiment = space.affine();
  if (of_model && of_experiment) {
    if (of_model->scale == of_experiment->scale && of_model->shift == of_experiment->shift) return;
    throw Error(fmt::format(
        "the model `{}` takes {} x + {} of its data, and the experiment's {} x + {}; give both "
        "data sets one `range`",
        name, of_model->scale, of_model->shift, of_experiment->scale, of_experiment->shift));
  }
  // What it is made of: the data that trainings see, without a share that is held out.
  const auto share = [](const Json& s) {
    return s.contains("holdout") && s["holdout"].is_number() ? s["holdout"] : Json();
  };
  if (own_spec.value("space", Json()) == spec.value("space", Json()) &&
      own_spec["dataset"] == spec["dataset"] && share(own_spec) == share(spec))
    return;
  const auto said = [](const Json& s) {
    return s.contains("space") ? title(s["space"]) : "the data's own range";
  };
  throw Error(
      fmt::format("the model `{}` works in {} of data set `{}`, and the experiment in {} of data "
                  "set `{}`; give both one space, and hold out the same share",
                  name, said(own_spec), own_spec["dataset"]["plugin"].get<std::string>(),
                  said(spec), spec["dataset"]["plugin"].get<std::string>()));
}

/// A frozen model of the manifest: its own network, scheduler, output and space, with the weights
/// of its training.
std::shared_ptr<Model> load_model(const Json& spec, const Setup& setup,
                                  const std::filesystem::path& results,
                                  const std::atomic<bool>* stop) {
  static const std::atomic<bool> never{false};
  if (!spec.at("trained").get<std::string>().empty())
    load_weights(results, spec, *setup.network, read_table<SampleOptions>(spec.at("sample")),
                 [](const std::string&) {});
  const auto parameters = answer(spec.at("network"), [&] { return setup.network->parameters(); });
  for (const auto& [name, parameter] : parameters) parameter.requires_grad_(false);
  return std::make_shared<Model>(
      setup.model(spec), std::make_shared<Model::Context>(setup.context(
                             stop ? *stop : never, read_table<RunOptions>(spec.at("run")).chunk)));
}

/// LibTorch works on one thread for as long as it lives.
class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

/// sample.noise: as many draws as there are, each of every sample.
at::Tensor recorded_noise(const SampleOptions& sample, const std::vector<std::int64_t>& shape) {
  const at::Tensor z = to_tensor(record::read(record::open_file(sample.noise), "noise"));
  if (!z.is_floating_point() || z.dim() < 2 || z.sizes().slice(2) != at::IntArrayRef(shape) ||
      z.size(1) < sample.count)
    throw Error(fmt::format(
        "sample.noise = {}: `noise` is {} of {}; expected floats [draws, {} samples or more, {}]",
        sample.noise, c10::str(z.scalar_type()), c10::str(z.sizes()), sample.count,
        fmt::join(shape, ", ")));
  return z;
}

}  // namespace

Setup::Setup(const Json& spec, at::Device device, bool with_network,
             const std::filesystem::path& results, const std::atomic<bool>* stop) {
  const KeepGenerator keep(device);
  const auto run = read_table<RunOptions>(spec.at("run"));
  tensors = at::TensorOptions()
                .dtype(run.precision == "float64" ? at::kDouble : at::kFloat)
                .device(device);
  bf16 = run.precision == "bf16";
  scheduler = make_as<Scheduler>(spec.at("scheduler"));
  make_data(spec);
  make_space(spec);
  host::prepare(scheduler, spec.at("scheduler"),
                {.options = tensors,
                 .shape = space->shape(),
                 .law = law ? &*law : nullptr,
                 .data = data.get(),
                 .space = space.get()});
  load_models(spec, with_network, results, stop);
  if (with_network) make_network(spec);
}

void Setup::make_data(const Json& spec) {
  data = make_as<DataSet>(spec.at("dataset"));
  host::prepare(data, spec.at("dataset"), {.options = tensors});
  if (const Json holdout = spec.value("holdout", Json()); holdout.is_object()) {
    held_out = make_as<DataSet>(holdout);
    host::prepare(held_out, holdout, {.options = tensors});
    const auto own = answer(holdout, [&] { return held_out->shape(); }),
               other = answer(spec.at("dataset"), [&] { return data->shape(); });
    if (own != other)
      throw PluginError(title(holdout), fmt::format("its items are [{}], and the data set's [{}]",
                                                    fmt::join(own, ", "), fmt::join(other, ", ")));
  } else if (holdout.is_number()) {
    const std::string set = title(spec.at("dataset"));
    call(set, [&] { std::tie(data, held_out) = hold_out(data, holdout); });
    set_title(*data, set);
    set_title(*held_out, set);
  }
}

void Setup::make_space(const Json& spec) {
  const Json& set = spec.at("dataset");
  const Json& owner = spec.contains("space") ? spec["space"] : set;
  space = answer(set, [&] { return std::make_shared<DataRange>(*data); });
  set_title(*space, title(set));
  if (spec.contains("space")) {
    const auto items = space->shape();
    space = make_as<Space>(owner);
    // what a space computes from the data must not depend on the cores of this stage
    const OneThread same_bits;
    host::prepare(space, owner, {.options = tensors, .shape = items, .data = data.get()});
  }
  const auto map = answer(owner, [&] { return space->affine(); });
  if (!map) return;
  if (!(map->scale > 0))
    throw PluginError(
        title(owner),
        fmt::format("the data's values are mapped by {} x + {}; the factor must be above 0",
                    map->scale, map->shift));
  law = answer(set, [&] { return data->exact(); });
  if (law) law = law->mapped(map->scale, map->shift);
}

void Setup::load_models(const Json& spec, bool with_network, const std::filesystem::path& results,
                        const std::atomic<bool>* stop) {
  if (!spec.contains("models")) return;
  for (const auto& [name, model] : spec["models"].items()) {
    const Setup own(model, tensors.device(), true);
    // A metric of samples asks models about data, which they encode themselves; all others ask
    // them about values of the experiment's model.
    if (with_network) expect_same_space(name, model, *own.space, spec, *space);
    models[name] = load_model(model, own, results, stop);
    expect_conditions(own.conditions, fmt::format("model `{}`", name), false);
    join_conditions(own.conditions, fmt::format("model `{}`", name));
  }
}

void Setup::make_network(const Json& spec) {
  network = make_as<Network>(spec.at("network"));
  parts = Output(read_table<OutputOptions>(spec.at("output"))).parts();
  host::prepare(network, spec.at("network"), setting());
  const auto taken = answer(spec.at("network"), [&] { return network->conditions(); });
  expect_conditions(taken, title(spec.at("network")), true);
  // samples are stored with the network's own nulls
  const auto of_models = std::exchange(conditions, taken);
  join_conditions(of_models, title(spec.at("network")));
  if (!held_out) return;
  const auto given = answer(spec.at("dataset"), [&] { return data->conditions(); });
  const Json& other = spec["holdout"].is_object() ? spec["holdout"] : spec["dataset"];
  const auto given_there = answer(other, [&] { return held_out->conditions(); });
  try {
    for (const auto& type : conditions) {
      const bool known = std::any_of(given.begin(), given.end(),
                                     [&](const ConditionType& g) { return g.name == type.name; });
      expect_given(given_there, type, known);
    }
  } catch (const Error& e) {
    throw PluginError(title(spec.at("network")), "of the held-out data: " + std::string(e.what()));
  }
}

void Setup::join_conditions(const std::vector<ConditionType>& more, const std::string& who) {
  try {
    merge(conditions, more);
  } catch (const Error& e) {
    throw PluginError(who, e.what());
  }
}

void Setup::expect_conditions(const std::vector<ConditionType>& taken, const std::string& who,
                              bool strict) const {
  std::vector<ConditionType> given;
  call(title_of(*data), [&] { given = data->conditions(); });
  try {
    expect_valid(taken);
    for (const auto& one : taken) expect_given(given, one, strict);
  } catch (const Error& e) {
    throw PluginError(who, e.what());
  }
}

std::shared_ptr<const Model::Parts> Setup::model(const Json& spec) const {
  return std::make_shared<const Model::Parts>(Model::Parts{
      network, scheduler, Output(read_table<OutputOptions>(spec.at("output"))), space});
}

Model::Context Setup::context(const std::atomic<bool>& stop, std::int64_t chunk) const {
  Model::Context out;
  out.chunk = chunk;
  out.bf16 = bf16;
  out.stop = &stop;
  out.call = [](const Component& component, const std::function<void()>& body) {
    call(title_of(component), body);
  };
  return out;
}

Sampling Setup::sampling(const Json& sampler, const Json& sample, const Json& spec,
                         const std::atomic<bool>& stop) const {
  Sampling s;
  const auto run = read_table<RunOptions>(spec.at("run"));
  s.options = read_table<SampleOptions>(sample);
  host::prepare(s.options.initial->component(), sample.at("initial"), setting(), models);
  s.model = model(spec);
  s.context = context(stop, run.chunk);
  s.context.max_nfe = s.options.max_nfe;
  s.conditions = conditions;
  for (const auto& guide : spec.at("guides")) {
    s.context.guides.push_back({make_as<Guide>(guide)});
    host::prepare(s.context.guides.back().guide, guide, setting(), models);
  }
  s.sampler = make_sampler(sampler);
  host::prepare(s.sampler, sampler, setting(), models);
  s.data = data;
  s.paths = run.noise == "path";
  s.seed = spec.at("seed");
  s.tensors = tensors;
  if (!s.options.noise.empty()) {
    if (spec.contains("files")) expect_unchanged("sample.noise", spec["files"]);
    s.recorded = recorded_noise(s.options, space->shape());
  }
  s.call = [](const Component& component, const std::function<void()>& body) {
    call(title_of(component), body);
  };
  return s;
}

Json Setup::within_budget(const Json& sampler, const Json& sample, const Json& spec,
                          const std::atomic<bool>& stop) const {
  const Json& params = sampler.at("params");
  const std::int64_t nfe = params.contains(GridKeys::nfe) && params[GridKeys::nfe].is_number()
                               ? params[GridKeys::nfe].get<std::int64_t>()
                               : 0;
  if (nfe == 0) return sampler;
  Json out = sampler;
  out["params"][GridKeys::nfe] = 0;
  const auto cost = [&](std::int64_t steps) -> std::optional<std::int64_t> {
    out["params"][GridKeys::steps] = steps;
    Sampling s = sampling(out, sample, spec, stop);
    s.recorded = at::Tensor();  // a probe counts evaluations; a recording may be too short for it
    std::optional<std::int64_t> spent;
    try {
      call(title(sampler), [&] { spent = dry_run(s, nfe); });
    } catch (const PluginError&) {
      // more steps than it can make; a fault of its own shows in the sampling
      if (steps == 1) throw;
    }
    return spent;
  };
  std::int64_t steps = 0;
  call(title(sampler), [&] { steps = steps_within(nfe, cost); });
  out["params"][GridKeys::steps] = steps;
  return out;
}

std::int64_t Setup::measure_threads(const std::shared_ptr<const Model::Parts>& parts,
                                    const Model::Context& context) const {
  if (network->parameters().empty() || !tensors.device().is_cpu()) return 1;
  const int all = cores();
  std::vector<std::int64_t> shape{context.chunk};
  for (const auto n : space->shape()) shape.push_back(n);
  const at::Tensor x = at::zeros(shape, tensors);
  const auto own = std::make_shared<Model::Context>(context);
  own->max_nfe = 0;
  Model model = Model(parts, own).unguided();  // guides draw and observe in sampling calls only
  const auto seconds = [&](int threads) {
    at::set_num_threads(threads);
    double best = 1e9;
    for (int i = 0; i < 4; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      model(x, scheduler->t_max());
      best = std::min(
          best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return best;
  };
  const double one = seconds(1), many = seconds(all);
  return many < 0.9 * one ? all : 1;
}

}  // namespace scorelab::host
