#pragma once
#include <scorelab/dataset.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>

#include "params/tables.h"
#include "sample/sampling.h"
#include "setup/component.h"

namespace scorelab::host {

/// Reads one of the manifest's own tables from its resolved form.
template <class Options>
Options read_table(const Json& values) {
  Options options;
  Params p;
  options.params(p);
  if (!values.is_null())
    for (const auto& spec : p.specs)
      if (values.contains(spec->name))
        schema::assign(*spec, values[spec->name],
                       [](const std::string&, const Json& config) { return make(config); });
  return options;
}

/// The parts of an experiment that every stage needs, made from a stage's spec and prepared on one
/// device.
struct Setup {
  /// `results`: where the weights of the models lie that the spec names. `stop`, which must outlive
  /// them: set, their evaluations throw Stopped.
  Setup(const Json& spec, at::Device device, bool with_network,
        const std::filesystem::path& results = {}, const std::atomic<bool>* stop = nullptr);

  std::shared_ptr<Scheduler> scheduler;
  std::shared_ptr<DataSet> data;      ///< what trainings see
  std::shared_ptr<DataSet> held_out;  ///< the manifest's `holdout`; otherwise null
  std::shared_ptr<Space> space;
  std::shared_ptr<Network> network;
  std::optional<Law> law;  ///< in the model's units
  at::TensorOptions tensors;
  Models models;
  bool bf16 = false;                      ///< networks multiply in bfloat16
  std::int64_t parts = 1;                 ///< of the network's answer, by the table `output`
  std::vector<ConditionType> conditions;  ///< what the network and the named models take together

  Setting setting() const {
    return {.scheduler = scheduler.get(),
            .options = tensors,
            .compute = bf16 ? at::kBFloat16 : c10::typeMetaToScalarType(tensors.dtype()),
            .shape = space->shape(),
            .law = law ? &*law : nullptr,
            .data = data.get(),
            .space = space.get(),
            .parts = parts};
  }
  /// The model of the network with this spec's output.
  std::shared_ptr<const Model::Parts> model(const Json& spec) const;
  /// How it is evaluated; plugins' code runs in their names.
  Model::Context context(const std::atomic<bool>& stop, std::int64_t chunk = 0) const;
  /// A handle of that model for one use, without guides or a condition.
  Model handle(const Json& spec, const std::atomic<bool>& stop) const {
    return {model(spec), std::make_shared<Model::Context>(context(stop))};
  }
  /// A sampling with the sampler and the table `sample` given, of this model's network behind the
  /// spec's guides.
  Sampling sampling(const Json& sampler, const Json& sample, const Json& spec,
                    const std::atomic<bool>& stop) const;
  /// The sampler's config with a budget of evaluations turned into steps, by dry runs.
  Json within_budget(const Json& sampler, const Json& sample, const Json& spec,
                     const std::atomic<bool>& stop) const;
  /// The faster number of threads for a network evaluation of one chunk: one or all.
  std::int64_t measure_threads(const std::shared_ptr<const Model::Parts>& model,
                               const Model::Context& context) const;
  /// Throws PluginError unless the data set gives what a network takes, or, where that is not
  /// `strict`, gives nothing of that name.
  void expect_conditions(const std::vector<ConditionType>& taken, const std::string& who,
                         bool strict) const;

 private:
  void make_data(const Json& spec);
  void make_space(const Json& spec);
  void load_models(const Json& spec, bool with_network, const std::filesystem::path& results,
                   const std::atomic<bool>* stop);
  void make_network(const Json& spec);
  void join_conditions(const std::vector<ConditionType>& more, const std::string& who);
};

}  // namespace scorelab::host
