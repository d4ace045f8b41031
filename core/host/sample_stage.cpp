#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "host/stage.h"
#include "model/stored_array.h"
#include "record/files.h"
#include "record/samples.h"
#include "setup/experiment.h"
#include "setup/weights.h"

namespace scorelab::host {
namespace {

/// The paths of the first samples of a call.
class Trace {
 public:
  explicit Trace(std::int64_t count) : count_(count) {}
  void add(const Times& t, const at::Tensor& x) {
    const std::int64_t n = std::min(count_, x.size(0));
    t_.push_back(t.vector(t.shared() ? n : static_cast<std::int64_t>(t.rows()), at::kDouble)
                     .narrow(0, 0, n));
    x_.push_back(x.narrow(0, 0, n).clone());
  }
  void save(const std::filesystem::path& folder) const {
    if (!x_.empty()) record::save_trace(folder, {to_array(at::stack(t_)), to_array(at::stack(x_))});
  }

 private:
  std::int64_t count_;
  std::vector<at::Tensor> t_, x_;
};

Json run_moments(StageRun& run, const Sampling& sampling) {
  ExactMoments exact;
  call(title(run.spec["sampler"]), [&] { exact = exact_moments(sampling); });
  const auto list = [](const at::Tensor& x) {
    const at::Tensor flat = x.contiguous().view(-1);
    return std::vector<double>(flat.const_data_ptr<double>(),
                               flat.const_data_ptr<double>() + flat.numel());
  };
  run.progress(1, 1, {{"unit", "moments"}});
  return {{"count", sampling.options.count},
          {"nfe", static_cast<double>(exact.nfe)},
          {"moments",
           {{"mean", list(exact.moments.mean)}, {"variance", list(exact.moments.variance)}}}};
}

/// Draws samples first, .., first + n - 1 and stores them, with the paths of `traced` of them.
void draw_chunk(StageRun& run, Sampling sampling, const std::string& owner, std::int64_t first,
                std::int64_t n, std::int64_t traced) {
  const auto begin = std::chrono::steady_clock::now();
  std::int64_t step = 0;
  sampling.observe = [&](const Times& t, const at::Tensor&) {
    run.progress(first, sampling.options.count,
                 {{"unit", "samples"}, {"t", t.max_value()}, {"step", ++step}});
  };
  Trace trace(traced);
  if (traced > 0) sampling.trace = [&](const Times& t, const at::Tensor& x) { trace.add(t, x); };
  Sampled drawn;
  call(owner, [&] { drawn = draw_samples(sampling, first, n); });
  trace.save(run.folder);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  record::SampleChunk chunk{first, to_array(drawn.x), drawn.nfe, seconds, {}};
  for (const auto& [name, value] : drawn.condition)
    chunk.beside.emplace_back(name, to_array(value));
  if (drawn.clean.defined()) chunk.beside.emplace_back("clean", to_array(drawn.clean));
  record::save_samples(run.folder / "samples", chunk);
}

}  // namespace

Json run_sample(StageRun& run) {
  const Setup setup(run.spec, at::Device(run.resolved["device"].get<std::string>()), true,
                    run.results, &run.stop);
  const Json& sample = run.spec["sample"];
  const auto options = read_table<SampleOptions>(sample);
  if (!run.spec["trained"].get<std::string>().empty())
    load_weights(run.results, run.spec, *setup.network, options,
                 [&](const std::string& why) { run.journal.event("damaged-checkpoint", 0, why); });
  Json sampler = run.spec["sampler"];
  if (run.resolved.contains("sampler")) {
    sampler["params"].update(run.resolved["sampler"]);
  } else if (const Json fitted = setup.within_budget(sampler, sample, run.spec, run.stop);
             fitted != sampler) {
    run.resolved["sampler"] = {{GridKeys::steps, fitted["params"][GridKeys::steps]},
                               {GridKeys::nfe, 0}};
    sampler = fitted;
    record::write_json(run.folder / "resolved.json", run.resolved);
  }
  const Sampling sampling = setup.sampling(sampler, sample, run.spec, run.stop);
  if (!run.resolved.contains("threads")) {
    const c10::AutoGradMode no_grad(false);
    run.resolved["threads"] = setup.measure_threads(sampling.model, sampling.context);
    record::write_json(run.folder / "resolved.json", run.resolved);
  }
  at::set_num_threads(run.resolved["threads"]);
  if (options.moments == "exact") return run_moments(run, sampling);
  run.journal.declare("sample",
                      {{"seconds", "s", "none", "time of the call"},
                       {"nfe_mean", "1", "none", "network evaluations of a sample, mean"},
                       {"nfe_max", "1", "none", "network evaluations of a sample, largest"}});
  std::vector<std::int64_t> nfe;
  double total = 0;
  const auto folder = run.folder / "samples";
  for (std::int64_t first = 0; first < options.count; first += sampling.rows()) {
    const std::int64_t n = std::min(sampling.rows(), options.count - first);
    const bool traced = first == 0 && std::min(options.trace, n) > record::traced(run.folder);
    if (!record::has_samples(folder, first, n) || traced) {
      draw_chunk(run, sampling, title(sampler), first, n, traced ? std::min(options.trace, n) : 0);
    }
    const record::SampleChunk stored = record::load_chunk(folder, first);
    nfe.insert(nfe.end(), stored.nfe.begin(), stored.nfe.begin() + n);
    total += stored.seconds;
    const auto own = nfe.end() - n;
    run.journal.row("sample", first + n, total,
                    {{"seconds", stored.seconds},
                     {"nfe_mean", std::accumulate(own, nfe.end(), 0.0) / static_cast<double>(n)},
                     {"nfe_max", static_cast<double>(*std::max_element(own, nfe.end()))}});
    run.progress(first + n, options.count, {{"unit", "samples"}});
  }
  const double mean =
      std::accumulate(nfe.begin(), nfe.end(), 0.0) / static_cast<double>(nfe.size());
  return {{"count", options.count},
          {"nfe", mean},
          {"trace", options.trace},
          {"sampling_seconds", total}};
}

}  // namespace scorelab::host
