#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <chrono>
#include <set>

#include "train/trainer.h"

namespace scorelab {
namespace {

/// A component's state under names of its own.
class Named final : public State {
 public:
  Named(State& all, std::string prefix) : all_(all), prefix_(std::move(prefix)) {}
  void tensor(const std::string& name, at::Tensor& value) override {
    all_.tensor(own(name), value);
  }
  void number(const std::string& name, double& value) override { all_.number(own(name), value); }
  void integer(const std::string& name, std::int64_t& value) override {
    all_.integer(own(name), value);
  }

 private:
  std::string own(const std::string& name) {
    if (!seen_.insert(name).second) throw Error(fmt::format("its state names `{}` twice", name));
    return prefix_ + name;
  }
  State& all_;
  std::string prefix_;
  std::set<std::string> seen_;
};

}  // namespace

void Trainer::state(TrainState& s) {
  model_learner_.state(s, "");
  for (const auto& own : own_) own->state(s, "objective/" + own->own->name() + "/");
  if (average_) s.parameters("objective/average", *average_, average_->values);
  for (auto& [rate, average] : averages_)
    s.parameters(fmt::format("ema/{}", rate), arena(), average);
  Named of_objective(s, "objective."), of_data(s, "dataset.");
  objective_->state(of_objective);
  data_->state(of_data);
  s.number("loss_since_last_row", loss_sum_);
  s.number("grad_norm_since_last_row", norm_sum_);
  s.integer("steps_since_last_row", rows_since_);
  s.number("first_loss", losses_.first);
  s.number("sum_of_last_losses", losses_.sum);
  s.number("sum_of_their_squares", losses_.squares);
  s.integer("number_of_last_losses", losses_.count);
  std::int64_t owed = reports_owed_;
  s.integer("reports_owed", owed);
  reports_owed_ = owed != 0;
}

namespace {

/// Counts what a component carries from step to step.
class Counted final : public State {
 public:
  void tensor(const std::string&, at::Tensor&) override { ++count; }
  void number(const std::string&, double&) override { ++count; }
  void integer(const std::string&, std::int64_t&) override { ++count; }
  int count = 0;
};

/// Keeps what a component carries from step to step, and gives it back.
class Kept final : public State {
 public:
  void tensor(const std::string& name, at::Tensor& value) override {
    if (back) return void(value = tensors_.at(name));
    tensors_[name] = value.defined() ? value.clone() : value;
  }
  void number(const std::string& name, double& value) override {
    back ? void(value = numbers_.at(name)) : void(numbers_[name] = value);
  }
  void integer(const std::string& name, std::int64_t& value) override {
    back ? void(value = integers_.at(name)) : void(integers_[name] = value);
  }
  bool back = false;

 private:
  std::map<std::string, at::Tensor> tensors_;
  std::map<std::string, double> numbers_;
  std::map<std::string, std::int64_t> integers_;
};

}  // namespace

bool Trainer::data_have_state() {
  Counted parts;
  data_->state(parts);
  return parts.count > 0;
}

double Trainer::rehearse(std::int64_t steps) {
  const c10::AutoGradMode no_grad(false);
  Kept of_objective, of_data;  // losses and batches may change them
  objective_->state(of_objective);
  data_->state(of_data);
  Counts counts;
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t n = 1; n <= steps; ++n) {
    counts = {};
    gradient(model_learner_, step_stream(n), n, Aim::training, &counts);
    for (const auto& own : own_)
      gradient(*own, fmt::format("train#{}/{}#0", n, own->own->name()), n, Aim::training, nullptr);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  seen_.clear();
  cost_of(counts);
  of_objective.back = of_data.back = true;
  objective_->state(of_objective);
  data_->state(of_data);
  return seconds;
}

}  // namespace scorelab
