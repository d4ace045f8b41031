#include "train/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <set>

#include "train/data.h"

namespace scorelab {

TrainPort::~TrainPort() = default;

Trainer::Trainer(std::shared_ptr<const Model::Parts> model, Model::Context context, std::shared_ptr<DataSet> data,
                 std::shared_ptr<Objective> objective, TrainOptions options, std::vector<double> ema, std::uint64_t seed,
                 at::TensorOptions tensors, const std::atomic<bool>& stop)
    : arena(*model->network, seed),
      model_(std::move(model)),
      context_(std::move(context)),
      data_(std::move(data)),
      objective_(std::move(objective)),
      options_(std::move(options)),
      seed_(seed),
      tensors_(tensors),
      stop_(stop) {
  moment1_ = at::zeros_like(arena.values);
  moment2_ = at::zeros_like(arena.values);
  for (const double rate : ema) averages_[rate] = arena.values.clone();
}

void Trainer::start_from(const NamedTensors& weights) {
  arena.fill(arena.values, weights);
  const c10::AutoGradMode no_grad(false);
  for (auto& [rate, average] : averages_) average.copy_(arena.values);
}

namespace {

void expect_finite(const at::Tensor& x, const char* what) {
  if (!x.isfinite().all().item<bool>()) throw Error(fmt::format("the first tensor that is not finite is {}", what));
}

PerRow part_of(const PerRow& all, std::int64_t first, std::int64_t rows) {
  if (all.shared()) return all;
  std::vector<double> own(rows);
  for (std::int64_t r = 0; r < rows; ++r) own[r] = all[first + r];
  return PerRow(std::move(own));
}

}  // namespace

/// Everything a step draws comes from the step's own noise, so that a step is the same whether or not there was a pause before it.
Trainer::Draws Trainer::draw(const std::string& stream, std::int64_t rows, const TimeLaw& law, Aim aim) const {
  const Scheduler& q = *model_->scheduler;
  Noise noise(seed_, stream);
  Draws out;
  TrainBatch& b = out.batch;
  b.x0 = draw_data(*data_, *model_->space, rows, noise, tensors_, out.condition);
  const auto label = out.condition.find("label");
  if (label != out.condition.end()) b.label = label->second;
  const bool check = aim == Aim::search;
  if (check) expect_finite(b.x0, "the data");
  if (aim != Aim::evaluation && options_.drop_labels > 0 && label != out.condition.end()) {
    Noise labels = noise.stream("labels");
    const at::Tensor u = labels.uniform(at::empty({rows, 1}, tensors_.dtype(at::kDouble))).squeeze(1);
    label->second = label->second.masked_fill(u < options_.drop_labels, -1);
  }
  Noise times = noise.stream("times"), eps = noise.stream("eps");
  const at::Tensor u = times.uniform(at::empty({rows, 1}, at::kDouble));
  const TimeLaw::Drawn drawn = law.draw(q, {u.const_data_ptr<double>(), u.const_data_ptr<double>() + rows});
  b.t = drawn.t, b.importance = drawn.importance;
  b.eps = eps.normal(b.x0);
  b.x = q.alpha(b.t) * b.x0 + q.sigma(b.t) * b.eps;
  if (check) expect_finite(b.x, "x_t");
  return out;
}

Trainer::Draws Trainer::Draws::part(std::int64_t first, std::int64_t rows) const {
  const auto of = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, first, rows) : x; };
  Draws out;
  const TrainBatch& b = batch;
  out.batch = {of(b.x0), of(b.eps), of(b.x), part_of(b.t, first, rows), part_of(b.importance, first, rows), of(b.label)};
  for (const auto& [name, value] : condition) out.condition[name] = of(value);
  out.first = first;
  return out;
}

at::Tensor Trainer::loss_of(const Draws& draws, const std::string& stream, std::int64_t n, Aim aim, Counts* counts) {
  const bool check = aim == Aim::search;
  const Scheduler& q = *model_->scheduler;
  const TrainBatch& b = draws.batch;
  const std::int64_t rows = b.x.size(0);
  Noise noise(seed_, stream, draws.first);
  Noise own = noise.stream("objective"), dropout = noise.stream("dropout");
  const auto context = std::make_shared<Model::Context>(context_);
  context->condition = draws.condition;
  if (aim != Aim::evaluation) context->dropout = &dropout;
  if (check) context->look = [](const at::Tensor&, const Times&, const at::Tensor& out) { expect_finite(out, "the network's output"); };
  Model model(model_, context);
  TrainRun run{model, q, own, n, options_.steps};
  at::Tensor loss = objective_->loss(run, b);
  if (counts) *counts = context->counts;
  if (loss.sizes() != at::IntArrayRef({rows}))
    throw Error(c10::str("the objective returned a loss of shape ", loss.sizes(), "; expected one number a sample, [", rows, "]"));
  if (check) expect_finite(loss, "the loss");
  if (objective_->times.learns()) seen_.emplace_back(b.t, loss.detach());
  if (!b.importance.shared() || b.importance.one() != 1) loss = loss * b.importance.vector(rows, loss.options().requires_grad(false));
  return loss.mean();
}

double Trainer::Losses::spread() const {
  const auto n = static_cast<double>(count);
  return count < 2 ? std::numeric_limits<double>::quiet_NaN() : std::sqrt(std::max(0.0, (squares - sum * sum / n) / (n - 1)));
}

double Trainer::learning_rate(std::int64_t n) const {
  double lr = options_.lr;
  if (n < options_.warmup) lr *= static_cast<double>(n) / static_cast<double>(options_.warmup);
  const double falling = options_.decay * static_cast<double>(options_.steps);
  const double left = static_cast<double>(options_.steps - n);
  return left < falling ? lr * (left + 1) / (falling + 1) : lr;
}

void Trainer::adam(double lr, std::int64_t n) {
  std::vector<at::Tensor> p{arena.values}, g{arena.gradients}, m{moment1_}, v{moment2_}, none,
      steps{at::full({}, static_cast<double>(n), tensors_.dtype(at::kFloat))};
  if (options_.optimizer == "adamw")
    at::_fused_adamw_(p, g, m, v, none, steps, lr, options_.beta1, options_.beta2, options_.weight_decay, options_.eps, false, false);
  else
    at::_fused_adam_(p, g, m, v, none, steps, lr, options_.beta1, options_.beta2, 0.0, options_.eps, false, false);
}

double Trainer::gradient(std::int64_t n, Aim aim, Counts* counts) {
  const std::string stream = fmt::format("train#{}", n);
  const Draws all = draw(stream, options_.batch, objective_->times, aim);
  arena.gradients.zero_();
  seen_.clear();
  double sum = 0;
  for (std::int64_t k = 0; k < options_.accumulate; ++k) {
    const std::int64_t first = k * options_.batch / options_.accumulate, rows = (k + 1) * options_.batch / options_.accumulate - first;
    const double share = static_cast<double>(rows) / static_cast<double>(options_.batch);
    const c10::AutoGradMode grad(true);
    Counts of_part;
    const at::Tensor loss = loss_of(options_.accumulate == 1 ? all : all.part(first, rows), stream, n, aim, &of_part);
    (options_.accumulate == 1 ? loss : loss * share).backward();
    sum += share * loss.item<double>();
    if (counts)
      for (const auto& [to, from] :
           {std::pair{&counts->evaluations, &of_part.evaluations}, {&counts->vjps, &of_part.vjps}, {&counts->jvps, &of_part.jvps}})
        to->insert(to->end(), from->begin(), from->end());
  }
  return sum;
}

void Trainer::update(std::int64_t n) {
  Counts c;
  const double value = gradient(n, Aim::training, &c), norm = arena.gradients.norm().item<double>();
  if (!std::isfinite(value) || !std::isfinite(norm)) diverged(n, value, norm);
  if (options_.clip > 0 && norm > options_.clip) arena.gradients.mul_(options_.clip / norm);
  for (const auto& [t, loss] : seen_) {
    const at::Tensor losses = loss.to(at::kCPU, at::kDouble).contiguous();
    objective_->times.learn(*model_->scheduler, t, {losses.const_data_ptr<double>(), losses.const_data_ptr<double>() + losses.numel()});
  }
  adam(learning_rate(n), n);
  for (auto& [rate, average] : averages_) {
    const double decay = options_.ema_warmup ? std::min(rate, static_cast<double>(1 + n) / static_cast<double>(10 + n)) : rate;
    average.lerp_(arena.values, 1 - decay);
  }
  loss_sum_ += value, norm_sum_ += norm, ++rows_since_;
  if (n == 1) losses_.first = value;
  if (n > options_.steps - std::max<std::int64_t>(1, options_.steps / 10))
    losses_.sum += value, losses_.squares += value * value, ++losses_.count;
  const auto sum = [](const std::vector<std::int64_t>& rows) { return std::accumulate(rows.begin(), rows.end(), std::int64_t{0}); };
  cost = {sum(c.evaluations), sum(c.vjps), sum(c.jvps)};
}

/// The bad step again, with a look at every tensor on the way. The weights are still those before it.
void Trainer::diverged(std::int64_t n, double loss, double norm) {
  std::string where = "the gradient";
  try {
    gradient(n, Aim::search, nullptr);
    for (const auto& [name, g] : arena.views(arena.gradients))
      if (!g.isfinite().all().item<bool>()) where = "the gradient of " + name;
    where = "the first tensor that is not finite is " + where;
  } catch (const Error& e) {
    where = e.what();
  }
  throw Error(
      fmt::format("training diverged at step {}: loss {}, norm of the gradient {}; {}. Lower train.lr, or set train.clip or train.warmup",
                  n, loss, norm, where));
}

void Trainer::with_weights(const at::Tensor& weights, const std::function<void()>& body) {
  const at::Tensor own = arena.values.clone();
  arena.values.copy_(weights);
  try {
    body();
  } catch (...) {
    arena.values.copy_(own);
    throw;
  }
  arena.values.copy_(own);
}

void Trainer::evaluate(TrainPort& port, std::int64_t n) {
  TrainPort::Values values;
  const auto loss = [&] {
    // The same draws each time: also of times, which losses seen would move.
    const Draws draws = draw("evaluate", std::max<std::int64_t>(options_.batch, 256), objective_->times.unlearnt(), Aim::evaluation);
    const double value = loss_of(draws, "evaluate", n, Aim::evaluation).item<double>();
    seen_.clear();
    return value;
  };
  values.emplace_back("loss", loss());
  for (const auto& [rate, average] : averages_)
    with_weights(average, [&, r = rate] { values.emplace_back(fmt::format("loss_ema_{}", r), loss()); });
  port.row("evaluate", n, values);
}

void Trainer::log(TrainPort& port, std::int64_t n) {
  const auto count = static_cast<double>(rows_since_);
  port.row("train", n, {{"loss", loss_sum_ / count}, {"grad_norm", norm_sum_ / count}, {"lr", learning_rate(n)}});
  port.progress(n, loss_sum_ / count);
  loss_sum_ = norm_sum_ = 0, rows_since_ = 0;
}

bool Trainer::due(std::int64_t every) const { return every > 0 && (step % every == 0 || step == options_.steps); }

void Trainer::report(TrainPort& port) {
  reports_owed_ = true;  // a stop in here leaves a checkpoint that says so, and they are made when training goes on
  if (due(options_.evaluate_every)) evaluate(port, step);
  if (due(options_.preview_every))
    with_weights(averages_.empty() ? arena.values.clone() : averages_.rbegin()->second, [&] { port.preview(step); });
  reports_owed_ = false;
}

void Trainer::run(TrainPort& port) {
  const c10::AutoGradMode no_grad(false);
  try {
    if (reports_owed_) {
      report(port);
      port.checkpoint();
    }
    while (step < options_.steps) {
      if (stop_.load()) throw Stopped();
      update(step + 1);
      ++step;
      if (due(options_.log_every)) log(port, step);
      report(port);
      if (due(options_.checkpoint_every) || step == options_.steps || keep.contains(step)) port.checkpoint();
    }
  } catch (const Stopped&) {
    port.checkpoint();  // a step that was stopped inside has changed nothing but gradients: it is made again
    throw;
  }
}

namespace {

/// A component's state under names of its own.
class Named final : public State {
 public:
  Named(State& all, std::string prefix) : all_(all), prefix_(std::move(prefix)) {}
  void tensor(const std::string& name, at::Tensor& value) override { all_.tensor(own(name), value); }
  void number(const std::string& name, double& value) override { all_.number(own(name), value); }
  void integer(const std::string& name, std::int64_t& value) override { all_.integer(own(name), value); }

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
  s.parameters("parameters", arena.values);
  s.parameters("optimizer/exp_avg", moment1_);
  s.parameters("optimizer/exp_avg_sq", moment2_);
  for (auto& [rate, average] : averages_) s.parameters(fmt::format("ema/{}", rate), average);
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

/// Keeps a copy of the state, or gives it back.
class Copy final : public TrainState {
 public:
  void parameters(const std::string& group, at::Tensor& flat) override {
    if (back) return void(flat.copy_(tensors_.at(group)));
    tensors_[group] = flat.clone();
  }
  void tensor(const std::string& name, at::Tensor& value) override {
    if (back) return void(value = tensors_.at(name));
    tensors_[name] = value.defined() ? value.clone() : value;
  }
  void number(const std::string& name, double& value) override { keep(numbers_, name, value); }
  void integer(const std::string& name, std::int64_t& value) override { keep(integers_, name, value); }
  bool back = false;

 private:
  template <class T>
  void keep(std::map<std::string, T>& kept, const std::string& name, T& value) {
    back ? void(value = kept.at(name)) : void(kept[name] = value);
  }
  std::map<std::string, at::Tensor> tensors_;
  std::map<std::string, double> numbers_;
  std::map<std::string, std::int64_t> integers_;
};

}  // namespace

double Trainer::rehearse(std::int64_t steps) {
  const c10::AutoGradMode no_grad(false);
  Copy before;
  state(before);
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t n = 1; n <= steps; ++n) update(n);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  before.back = true;
  state(before);
  return seconds;
}

}  // namespace scorelab
