#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>

#include "evaluate/evaluation.h"
#include "host/stage.h"
#include "model/stored_array.h"
#include "params/number.h"
#include "record/files.h"
#include "record/samples.h"
#include "setup/experiment.h"
#include "setup/weights.h"

namespace scorelab::host {
namespace {

/// Reports the measurements of a metric as rows, and gives them as stage.json keeps them.
Json keep(StageRun& run, const std::vector<Measurement>& measured) {
  const std::string label = run.spec["name"];
  Json values = Json::array(), arrays = Json::array();
  std::vector<record::Column> columns;
  std::vector<std::pair<std::string, double>> row;
  for (const auto& m : measured) {
    const std::string name = m.name.empty() ? label : label + "." + m.name;
    Json one{{"name", name}, {"unit", m.unit}, {"goal", m.goal}, {"long_name", m.long_name}};
    if (m.array) {
      if (m.array->at.size() != m.array->values.size())
        throw Error(title(run.spec["metric"]) + ": the array `" + name + "` has " +
                    std::to_string(m.array->values.size()) + " values at " +
                    std::to_string(m.array->at.size()) + " coordinates; they must be as many");
      one["along"] = m.array->along;
      one["at"] = m.array->at;
      one["values"] = Json::array();
      for (const double v : m.array->values) one["values"].push_back(json_of(v));
      arrays.push_back(std::move(one));
      continue;
    }
    columns.push_back({name, m.unit, m.goal, m.long_name});
    row.emplace_back(name, m.value);
    one["value"] = json_of(m.value);
    values.push_back(std::move(one));
  }
  if (!row.empty()) {
    run.journal.declare("metrics", columns);
    run.journal.row("metrics", 0, 0, row);
  }
  run.progress(1, 1, {{"unit", "metrics"}});
  Json out{{"values", values}, {"measured_as", label}};
  if (!arrays.empty()) out["arrays"] = arrays;
  return out;
}

/// What stands for the data: what trainings see, or what is held out from them.
const DataSet& reference(const StageRun& run, const Setup& setup) {
  return run.spec["metric"]["params"].value("reference", "data") == "holdout" ? *setup.held_out
                                                                              : *setup.data;
}

Json timed(StageRun& run, const Metric& metric, const Setup& setup, const Subject& subject) {
  const auto begin = std::chrono::steady_clock::now();
  const auto measured =
      scorelab::evaluate(metric, reference(run, setup), *setup.space, subject, run.spec["seed"],
                         [](const Component& component, const std::function<void()>& body) {
                           call(title_of(component), body);
                         });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Json out = keep(run, measured);
  out["measuring_seconds"] = seconds;
  return out;
}

/// A metric of the model: on the run's device, with what it cost.
Json measure_model(StageRun& run) {
  const c10::AutoGradMode no_grad(false);
  const Setup setup(run.spec, at::Device(run.resolved["device"].get<std::string>()), true,
                    run.results, &run.stop);
  const Json& params = run.spec["metric"]["params"];
  if (!run.spec["trained"].get<std::string>().empty()) {
    SampleOptions weights;
    weights.ema = params.at("weights");
    load_weights(run.results, run.spec, *setup.network, weights,
                 [&](const std::string& why) { run.journal.event("damaged-checkpoint", 0, why); });
  }
  auto metric = make_as<Metric>(run.spec["metric"]);
  prepare(metric, run.spec["metric"], setup.setting(), setup.models);
  const auto parts = setup.model(run.spec);
  const auto context = std::make_shared<Model::Context>(
      setup.context(run.stop, read_table<RunOptions>(run.spec["run"]).chunk));
  if (!run.resolved.contains("threads")) {
    run.resolved["threads"] = setup.measure_threads(parts, *context);
    record::write_json(run.folder / "resolved.json", run.resolved);
  }
  at::set_num_threads(run.resolved["threads"]);
  Model model(parts, context);
  const std::int64_t size = reference(run, setup).size(), asked = params.at("count"),
                     points = size > 0 ? std::min(asked, size) : asked;
  Json out = timed(run, *metric, setup, {{}, nullptr, &model, nullptr, points});
  const auto each = [&](const std::vector<std::int64_t>& rows) {
    return static_cast<double>(std::accumulate(rows.begin(), rows.end(), std::int64_t{0})) /
           static_cast<double>(points);
  };
  out["nfe"] = each(context->counts.evaluations);
  out["vjps"] = each(context->counts.vjps);
  out["jvps"] = each(context->counts.jvps);
  return out;
}

Json measure_samples(StageRun& run) {
  at::set_num_threads(1);
  run.resolved["threads"] = 1;
  const bool networks = run.spec.contains("models");  // those that the metric names
  const Setup setup(run.spec,
                    networks ? at::Device(run.resolved["device"].get<std::string>()) : at::kCPU,
                    false, run.results, &run.stop);
  auto metric = make_as<Metric>(run.spec["metric"]);
  prepare(metric, run.spec["metric"], setup.setting(), setup.models);
  const std::int64_t count = run.spec["sample"]["count"];
  const Json sampled = record::read_done(record::stage_folder(run.results, run.spec["sampled"]),
                                         count, run.spec["sample"]["trace"]);
  if (sampled.is_null() || sampled["count"] < count) throw NotReady();
  if (sampled.contains("moments")) {
    const auto shape = setup.data->shape();
    const auto tensor = [&](const char* name) {
      return at::tensor(sampled["moments"][name].get<std::vector<double>>(), at::kDouble)
          .view(shape);
    };
    const Moments moments{tensor("mean"), tensor("variance")};
    return timed(run, *metric, setup, {{}, &moments, nullptr, nullptr, 0});
  }
  const auto folder = record::stage_folder(run.results, run.spec["sampled"]);
  Paths paths;
  try {
    const auto stored = std::make_shared<record::StoredSamples>(folder / "samples", count);
    const Items samples(count, stored->shape(), [stored](std::int64_t first, std::int64_t n) {
      return to_tensor(stored->rows(first, n)).to(at::kDouble);
    });
    if (const bool traced = run.spec["metric"]["traced"]; traced) {
      const auto trace = record::load_trace(
          folder,
          std::min(run.spec["sample"]["trace"].get<std::int64_t>(), record::traced(folder)));
      paths = {to_tensor(trace.t).to(at::kDouble), to_tensor(trace.x).to(at::kDouble)};
    }
    return timed(run, *metric, setup,
                 {samples, nullptr, nullptr, paths.t.defined() ? &paths : nullptr, count});
  } catch (const record::Damaged& e) {
    record::reopen(folder);
    throw Error(std::string(e.what()) + "; the same command draws again what is damaged");
  }
}

}  // namespace

Json run_evaluate(StageRun& run) {
  return run.spec.contains("sampled") ? measure_samples(run) : measure_model(run);
}

}  // namespace scorelab::host
