#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <chrono>
#include <future>
#include <memory>
#include <set>

#include "host/stage.h"
#include "model/stored_array.h"
#include "record/checkpoint.h"
#include "record/files.h"
#include "record/journal.h"
#include "record/samples.h"
#include "setup/device.h"
#include "setup/experiment.h"
#include "setup/weights.h"
#include "train/trainer.h"

namespace scorelab::host {
namespace {

NamedTensors to_tensors(const record::NamedArrays& arrays) {
  NamedTensors out;
  for (const auto& [name, array] : arrays) out.emplace_back(name, to_tensor(array));
  return out;
}

constexpr const char* rest = "training";  // the group of what is no parameter's

/// Copies a state into a checkpoint, into the memory of the one before where there is one: fresh
/// pages cost more than the copy.
class Writing final : public TrainState {
 public:
  explicit Writing(record::Checkpoint& to) : to_(to) {
    if (const auto before = to_.groups.find(rest); before != to_.groups.end())
      before->second.clear();
  }
  void parameters(const std::string& group, const Arena& arena, at::Tensor& flat) override {
    const NamedTensors from = arena.views(flat);
    record::NamedArrays& to = to_.groups[group];
    to.resize(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      to[i].first = from[i].first;
      copy_into(to[i].second, from[i].second);
    }
  }
  void tensor(const std::string& name, at::Tensor& value) override {
    if (value.defined()) to_.groups[rest].emplace_back(name, to_array(value));
  }
  void number(const std::string& name, double& value) override {
    to_.groups[rest].emplace_back(name, record::Array::of(std::vector<double>{value}));
  }
  void integer(const std::string& name, std::int64_t& value) override {
    to_.groups[rest].emplace_back(name, record::Array::of(std::vector<std::int64_t>{value}));
  }

 private:
  record::Checkpoint& to_;
};

/// `wrong`: how a checkpoint differs from the state, the first of it; looked for before anything is
/// read, so that a state is read whole or not at all.
class Reading final : public TrainState {
 public:
  explicit Reading(const record::Checkpoint& from) : from_(from) {}
  void parameters(const std::string& group, const Arena& arena, at::Tensor& flat) override {
    const auto found = from_.groups.find(group);
    if (found == from_.groups.end()) return lacks(group);
    if (!looking) arena.fill(flat, to_tensors(found->second));
  }
  /// One that was undefined when the checkpoint was written is not in it.
  void tensor(const std::string& name, at::Tensor& value) override {
    const auto* a = find(name);
    if (!a && value.defined()) lacks(name);
    if (!a || looking) return;
    value = value.defined() ? to_tensor(*a).to(value.device()) : to_tensor(*a);
  }
  void number(const std::string& name, double& value) override {
    if (const auto* a = needed(name, record::Array::Type::f64)) value = a->as<double>()[0];
  }
  void integer(const std::string& name, std::int64_t& value) override {
    if (const auto* a = needed(name, record::Array::Type::i64)) value = a->as<std::int64_t>()[0];
  }
  /// After the state was looked for: it must have asked for all that there is.
  void expect_all_known() {
    if (const auto group = from_.groups.find(rest); group != from_.groups.end())
      for (const auto& [name, array] : group->second)
        if (wrong.empty() && !asked_.contains(name)) wrong = "it has an unknown `" + name + "`";
  }
  bool looking = true;
  std::string wrong;

 private:
  void lacks(const std::string& name) {
    if (wrong.empty()) wrong = "it has no `" + name + "`";
  }
  const record::Array* find(const std::string& name) {
    asked_.insert(name);
    const auto group = from_.groups.find(rest);
    if (group == from_.groups.end()) return nullptr;
    const auto found = std::find_if(group->second.begin(), group->second.end(),
                                    [&](const auto& item) { return item.first == name; });
    return found == group->second.end() ? nullptr : &found->second;
  }
  const record::Array* needed(const std::string& name, record::Array::Type type) {
    const auto* found = find(name);
    if (!found || found->type != type || found->count() != 1) {
      lacks(name);
      return nullptr;
    }
    return looking ? nullptr : found;
  }
  const record::Checkpoint& from_;
  std::set<std::string> asked_;
};

class Port final : public TrainPort {
 public:
  Port(StageRun& run, Trainer& trainer, const Setup& setup)
      : run_(run), trainer_(trainer), setup_(setup), begin_(clock::now()) {}

  void resume() {
    bool damaged = false;
    auto found = record::load_checkpoint(run_.folder, [&](const std::string& why) {
      damaged = true;
      run_.journal.event("damaged-checkpoint", 0, why + "; it is kept as *.damaged");
    });
    if (!found && damaged)
      run_.journal.event("restart", 0, "no checkpoint is whole: training starts again");
    if (!found) return;
    Reading reading(*found);
    trainer_.state(reading);
    reading.expect_all_known();
    if (!reading.wrong.empty())
      return run_.journal.event("restart", 0,
                                fmt::format("the checkpoint does not fit this training's state "
                                            "(of another release or plugin, or other averages): "
                                            "{}; training starts again",
                                            reading.wrong));
    const Json& every = run_.spec["train"]["log_every"];
    if (every > 0 && found->step >= every &&
        !record::read_journal(run_.folder / "journal.jsonl").streams.contains("train"))
      return run_.journal.event("restart", 0,
                                "the journal of its losses is gone: training starts again");
    for (const auto step : trainer_.keep)
      if (step <= found->step && !std::filesystem::exists(kept(step) / "checkpoint.h5"))
        return run_.journal.event(
            "restart", 0,
            fmt::format("the checkpoint of step {} was not kept: training starts again", step));
    reading.looking = false;
    trainer_.state(reading);
    trainer_.step = found->step;
    before_ = found->wall;
    run_.journal.event("resume", found->step,
                       fmt::format("from the checkpoint of step {}", found->step));
  }

  void row(const std::string& stream, std::int64_t step, const Values& values) override {
    Values all = values;
    if (stream == "train") {
      const double now = wall(),
                   rate = static_cast<double>(step - rate_step_) / std::max(1e-9, now - rate_wall_);
      if (rate_step_ >= 0) all.emplace_back("rate", rate);
      rate_step_ = step;
      rate_wall_ = now;
    }
    declare(stream, all);
    run_.journal.row(stream, step, wall(), all);
  }

  void progress(std::int64_t step, double loss) override {
    // a failure is said soon
    if (written_.valid() && written_.wait_for(std::chrono::seconds(0)) == std::future_status::ready)
      settle();
    run_.progress(step, run_.spec["train"]["steps"], {{"loss", loss}, {"unit", "steps"}});
  }

  /// Copies the state, and writes the copy on a thread of its own.
  void checkpoint() override {
    try {
      settle();
    } catch (const record::IoError&) {
      // asked to stop, what follows is another attempt, and its own error counts
      if (!run_.stop.load()) throw;
    }
    record::Checkpoint& c = copy_;
    c.step = trainer_.step;
    c.wall = wall();
    c.resolved = run_.resolved;
    Writing state(c);
    trainer_.state(state);
    run_.journal.sync();
    const auto keep_in = trainer_.keep.contains(c.step) ? kept(c.step) : std::filesystem::path();
    written_ = std::async(std::launch::async, [this, keep_in] {
      record::save_checkpoint(run_.folder, copy_, keep_in);
    });
  }

  void settle() override {
    if (written_.valid()) written_.get();
  }

  void preview(std::int64_t step) override {
    if (!run_.spec.contains("preview")) return;
    settle();  // it writes HDF5 too, which takes one thread at a time
    const Json& p = run_.spec["preview"];
    Sampling sampling =
        setup_.sampling(setup_.within_budget(p["sampler"], p["sample"], run_.spec, run_.stop),
                        p["sample"], run_.spec, run_.stop);
    sampling.stream = "preview";
    const std::int64_t n =
        std::min(run_.spec["train"]["preview_count"].get<std::int64_t>(), sampling.rows());
    Sampled drawn;
    call(title(p["sampler"]), [&] { drawn = draw_samples(sampling, 0, n); });
    const auto folder = run_.folder / "previews" / fmt::format("{:08}", step);
    record::save_samples(folder, {0, to_array(drawn.x), drawn.nfe, 0});
  }

  double wall() const {
    return before_ + std::chrono::duration<double>(clock::now() - begin_).count();
  }

 private:
  using clock = std::chrono::steady_clock;

  void declare(const std::string& stream, const Values& values) {
    if (!declared_.insert(stream).second) return;
    std::vector<record::Column> columns;
    if (stream == "train") {
      columns = {{"loss", "1", "min", "mean training loss since the row before"},
                 {"grad_norm", "1", "none", "mean norm of the gradient before clipping"},
                 {"lr", "1", "none", "learning rate"},
                 {"rate", "1/s", "none", "optimiser steps a second"}};
      for (const auto& [name, value] : values)
        if (name.rfind("loss_", 0) == 0)
          columns.insert(
              columns.end() - 1,
              {name, "1", "min", "mean loss of the objective's own network since the row before"});
    } else {
      for (const auto& [name, value] : values)
        columns.push_back({name, "1", "min",
                           name == "loss" ? "loss on fixed draws"
                                          : "loss on fixed draws with the weights' average"});
    }
    run_.journal.declare(stream, columns);
  }

  std::filesystem::path kept(std::int64_t step) const {
    return run_.folder / "kept" / std::to_string(step);
  }

  StageRun& run_;
  Trainer& trainer_;
  const Setup& setup_;
  clock::time_point begin_;
  double before_ = 0, rate_wall_ = 0;
  std::int64_t rate_step_ = -1;
  std::set<std::string> declared_;
  record::Checkpoint copy_;    // what is being written
  std::future<void> written_;  // after copy_: a training that fails waits for it
};

/// The faster of one thread and all of them, measured on a few steps.
std::int64_t measure_threads(Trainer& trainer) {
  const int all = cores();
  if (all < 2) return 1;
  const auto seconds = [&](int threads) {
    at::set_num_threads(threads);
    trainer.rehearse(2);
    return std::min(trainer.rehearse(3), trainer.rehearse(3));
  };
  const double one = seconds(1), many = seconds(all);
  return many < 0.9 * one ? all : 1;
}

/// Those of another model or of a file, where the manifest says so.
void set_first_weights(StageRun& run, const Setup& setup, const TrainOptions& options,
                       Trainer& trainer) {
  if (*options.from) {
    const Json& model = run.spec["from"];
    try {
      trainer.start_from(stored_weights(
          run.results, model, read_table<SampleOptions>(model["sample"]),
          [&](const std::string& why) { run.journal.event("damaged-checkpoint", 0, why); }));
    } catch (const NotReady&) {
      throw;
    } catch (const Error& e) {
      throw Error(fmt::format("train.from = \"{}\": {}", options.from->name(), e.what()));
    }
  }
  if (!options.weights.empty()) {
    expect_unchanged("train.weights", run.spec["files"]);
    trainer.start_from(
        file_weights(options.weights, options.weights_map, setup.network->parameters()));
    expect_unchanged("train.weights", run.spec["files"]);
  }
}

}  // namespace

Json run_train(StageRun& run) {
  const Setup setup(run.spec, at::Device(run.resolved["device"].get<std::string>()), true,
                    run.results, &run.stop);
  auto objective = make_as<Objective>(run.spec["objective"]);
  prepare(objective, run.spec["objective"], setup.setting(), setup.models);
  std::vector<double> ema = run.spec["ema"].get<std::vector<double>>();
  const auto options = read_table<TrainOptions>(run.spec["train"]);
  const std::string owner = title(run.spec["objective"]);
  std::vector<OwnNetwork*> networks;
  bool averages = false;
  call(owner, [&] {
    networks = objective->networks();
    averages = objective->average_rate(0, std::max<std::int64_t>(1, options.steps)).has_value();
  });
  for (const OwnNetwork* own : networks)
    if (*own)
      setup.expect_conditions(own->network()->conditions(),
                              fmt::format("{}, its network `{}`", owner, own->name()), true);
  Trainer trainer(setup.model(run.spec), setup.context(run.stop), setup.data, objective, options,
                  ema, run.spec["seed"], setup.tensors, run.stop);
  const Json held_out = run.spec.value("holdout", Json());
  trainer.around_data = [set = title(run.spec["dataset"]),
                         other = title(held_out.is_object() ? held_out : run.spec["dataset"])](
                            bool held, const auto& body) { call(held ? other : set, body); };
  call(owner, [&] { trainer.take_networks(); });
  if (setup.held_out) trainer.evaluate_on(setup.held_out);
  if (averages) {
    auto averaged = make_as<Network>(run.spec["network"]);
    prepare(averaged, run.spec["network"], setup.setting(), setup.models);
    trainer.average_in(std::move(averaged));
  }
  if (!run.resolved.contains("threads")) {
    run.resolved["threads"] =
        setup.tensors.device().is_cpu() && options.steps > 0 ? measure_threads(trainer) : 1;
    record::write_json(run.folder / "resolved.json", run.resolved);
  }
  at::set_num_threads(run.resolved["threads"]);
  trainer.keep = run.spec["keep"].get<std::set<std::int64_t>>();
  Port port(run, trainer, setup);
  port.resume();
  if (trainer.step == 0) set_first_weights(run, setup, options, trainer);
  call(owner, [&] { trainer.run(port); });
  // it ended before: nothing was left but to say so
  if (trainer.cost.evaluations == 0 && options.steps > 0) trainer.rehearse(1);
  const auto& c = trainer.cost;
  return {{"ema", ema},
          {"keep", run.spec["keep"]},
          {"evaluations", c.evaluations * trainer.step},
          {"vjps", c.vjps * trainer.step},
          {"jvps", c.jvps * trainer.step},
          {"steps", trainer.step},
          {"parameters", trainer.arena().count()},
          {"loss", trainer.losses().mean()},
          {"loss_spread", trainer.losses().spread()},
          {"first_loss", trainer.losses().first}};
}

}  // namespace scorelab::host
