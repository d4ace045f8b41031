#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "evaluate/evaluation.h"
#include "host/experiment.h"
#include "host/stage.h"
#include "record/files.h"
#include "record/samples.h"

namespace scorelab::host {

Json run_evaluate(StageRun& run) {
  at::set_num_threads(1);
  run.resolved["threads"] = 1;
  const Setup setup(run.spec, at::kCPU, false);
  auto metric = make_as<Metric>(run.spec["metric"]);
  prepare(metric, run.spec["metric"], setup.setting());
  const std::int64_t count = run.spec["sample"]["count"];
  const Json sampled = record::read_json(record::stage_folder(run.results, run.spec["sampled"]) / "stage.json");
  if (sampled.is_null() || sampled["count"] < count) throw NotReady();
  at::Tensor samples;
  std::optional<Moments> moments;
  if (sampled.contains("moments")) {
    const auto shape = setup.data->shape();
    const auto tensor = [&](const char* name) {
      return at::tensor(sampled["moments"][name].get<std::vector<double>>(), at::kDouble).view(shape);
    };
    moments = {tensor("mean"), tensor("variance")};
  } else {
    samples = to_tensor(record::load_samples(record::stage_folder(run.results, run.spec["sampled"]) / "samples", count).x).to(at::kDouble);
  }
  std::vector<Measurement> measured;
  call(title(run.spec["metric"]),
       [&] { measured = scorelab::evaluate(*metric, *setup.data, samples, moments ? &*moments : nullptr, run.spec["seed"]); });
  const std::string label = run.spec["name"];
  Json values = Json::array();
  std::vector<record::Column> columns;
  std::vector<std::pair<std::string, double>> row;
  for (const auto& m : measured) {
    const std::string name = m.name.empty() ? label : label + "." + m.name;
    columns.push_back({name, m.unit, m.goal, m.long_name});
    row.emplace_back(name, m.value);
    Json value{{"name", name}, {"unit", m.unit}, {"goal", m.goal}, {"long_name", m.long_name}};
    if (std::isfinite(m.value))
      value["value"] = m.value;
    else
      value["value"] = std::isnan(m.value) ? "nan" : m.value > 0 ? "inf" : "-inf";
    values.push_back(std::move(value));
  }
  run.journal.declare("metrics", columns);
  run.journal.row("metrics", 0, 0, row);
  run.progress(1, 1, {{"unit", "metrics"}});
  return {{"values", values}};
}

}  // namespace scorelab::host
