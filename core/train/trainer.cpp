#include "train/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include "train/data.h"

namespace scorelab {

TrainPort::~TrainPort() = default;

Trainer::Trainer(std::shared_ptr<Model::State> model, std::shared_ptr<DataSet> data, std::shared_ptr<Objective> objective,
                 TrainOptions options, std::vector<double> ema, std::uint64_t seed, at::TensorOptions tensors,
                 const std::atomic<bool>& stop)
    : arena(*model->network, seed),
      model_(std::move(model)),
      data_(std::move(data)),
      objective_(std::move(objective)),
      options_(std::move(options)),
      seed_(seed),
      tensors_(tensors),
      stop_(stop) {
  moment1 = at::zeros_like(arena.values);
  moment2 = at::zeros_like(arena.values);
  for (const double rate : ema) averages[rate] = arena.values.clone();
}

/// Everything a step draws comes from the step's own noise, so that a step is the same whether or not there was a pause before it.
at::Tensor Trainer::loss_of(Noise& noise, std::int64_t rows, bool check) {
  const auto finite = [&](const at::Tensor& x, const char* what) {
    if (check && !x.isfinite().all().item<bool>()) throw Error(fmt::format("the first tensor that is not finite is {}", what));
  };
  const Scheduler& q = *model_->scheduler;
  TrainBatch b;
  b.x0 = draw_data(*data_, rows, noise, tensors_, model_->condition);
  if (const auto label = model_->condition.find("label"); label != model_->condition.end()) b.label = label->second;
  if (model_->network->classes() == 0) model_->condition.clear();
  finite(b.x0, "the data");
  if (const auto label = model_->condition.find("label"); options_.drop_labels > 0 && label != model_->condition.end()) {
    Noise labels = noise.stream("labels");
    const at::Tensor u = labels.uniform(at::empty({rows, 1}, tensors_.dtype(at::kDouble))).squeeze(1);
    label->second = label->second.masked_fill(u < options_.drop_labels, -1);
  }
  Noise times = noise.stream("times"), eps = noise.stream("eps"), own = noise.stream("objective"), dropout = noise.stream("dropout");
  const at::Tensor u = times.uniform(at::empty({rows, 1}, at::kDouble));
  const TimeLaw::Drawn drawn = objective_->times.draw(q, {u.const_data_ptr<double>(), u.const_data_ptr<double>() + rows});
  b.t = drawn.t, b.importance = drawn.importance;
  b.eps = eps.normal(b.x0);
  b.x = q.alpha(b.t) * b.x0 + q.sigma(b.t) * b.eps;
  finite(b.x, "x_t");
  model_->noise = &dropout;
  Model model(model_);
  TrainRun run{model, q, own};
  if (check) model_->look = [&](const at::Tensor&, const Times&, const at::Tensor& out) { finite(out, "the network's output"); };
  at::Tensor loss;
  try {
    loss = objective_->loss(run, b);
  } catch (...) {
    model_->noise = nullptr, model_->look = nullptr;
    throw;
  }
  model_->noise = nullptr, model_->look = nullptr;
  if (loss.sizes() != at::IntArrayRef({rows}))
    throw Error(c10::str("the objective returned a loss of shape ", loss.sizes(), "; expected one number a sample, [", rows, "]"));
  finite(loss, "the loss");
  if (objective_->times.learns()) seen_ = {b.t, loss.detach()};
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
  std::vector<at::Tensor> p{arena.values}, g{arena.gradients}, m{moment1}, v{moment2}, none,
      steps{at::full({}, static_cast<double>(n), tensors_.dtype(at::kFloat))};
  if (options_.optimizer == "adamw")
    at::_fused_adamw_(p, g, m, v, none, steps, lr, options_.beta1, options_.beta2, options_.weight_decay, options_.eps, false, false);
  else
    at::_fused_adam_(p, g, m, v, none, steps, lr, options_.beta1, options_.beta2, 0.0, options_.eps, false, false);
}

void Trainer::update(std::int64_t n) {
  arena.gradients.zero_();
  Noise noise(seed_, fmt::format("train#{}", n));
  model_->counts.reset(0);
  at::Tensor loss;
  {
    const c10::AutoGradMode grad(true);
    loss = loss_of(noise, options_.batch, false);
    loss.backward();
  }
  const double value = loss.item<double>(), norm = arena.gradients.norm().item<double>();
  if (!std::isfinite(value) || !std::isfinite(norm)) diverged(n, value, norm);
  if (options_.clip > 0 && norm > options_.clip) arena.gradients.mul_(options_.clip / norm);
  if (objective_->times.learns()) {
    const at::Tensor losses = seen_.second.to(at::kCPU, at::kDouble).contiguous();
    objective_->times.learn(*model_->scheduler, seen_.first,
                            {losses.const_data_ptr<double>(), losses.const_data_ptr<double>() + losses.numel()});
  }
  adam(learning_rate(n), n);
  for (auto& [rate, average] : averages) {
    const double decay = options_.ema_warmup ? std::min(rate, static_cast<double>(1 + n) / static_cast<double>(10 + n)) : rate;
    average.lerp_(arena.values, 1 - decay);
  }
  loss_sum += value, norm_sum += norm, ++rows_since;
  if (n == 1) losses.first = value;
  if (n > options_.steps - std::max<std::int64_t>(1, options_.steps / 10))
    losses.sum += value, losses.squares += value * value, ++losses.count;
  const auto sum = [](const std::vector<std::int64_t>& rows) { return std::accumulate(rows.begin(), rows.end(), std::int64_t{0}); };
  const Counts& c = model_->counts;
  cost = {sum(c.evaluations), sum(c.vjps), sum(c.jvps)};
}

/// The bad step again, with a look at every tensor on the way. The weights are still those before it.
void Trainer::diverged(std::int64_t n, double loss, double norm) {
  std::string where = "the gradient";
  try {
    Noise noise(seed_, fmt::format("train#{}", n));
    const c10::AutoGradMode grad(true);
    loss_of(noise, options_.batch, true);
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
    Noise noise(seed_, "evaluate");  // the same draws each time: also of times, which losses seen would move
    const at::Tensor history = std::exchange(objective_->times.history, {});
    const double value = loss_of(noise, std::max<std::int64_t>(options_.batch, 256), false).item<double>();
    objective_->times.history = history;
    return value;
  };
  values.emplace_back("loss", loss());
  for (const auto& [rate, average] : averages)
    with_weights(average, [&, r = rate] { values.emplace_back(fmt::format("loss_ema_{}", r), loss()); });
  port.row("evaluate", n, values);
}

void Trainer::log(TrainPort& port, std::int64_t n) {
  const auto count = static_cast<double>(rows_since);
  port.row("train", n, {{"loss", loss_sum / count}, {"grad_norm", norm_sum / count}, {"lr", learning_rate(n)}});
  port.progress(n, loss_sum / count);
  loss_sum = norm_sum = 0, rows_since = 0;
}

bool Trainer::due(std::int64_t every) const { return every > 0 && (step % every == 0 || step == options_.steps); }

void Trainer::report(TrainPort& port) {
  reports_owed = true;  // a stop in here leaves a checkpoint that says so, and they are made when training goes on
  if (due(options_.evaluate_every)) evaluate(port, step);
  if (due(options_.preview_every))
    with_weights(averages.empty() ? arena.values.clone() : averages.rbegin()->second, [&] { port.preview(step); });
  reports_owed = false;
}

void Trainer::run(TrainPort& port) {
  const c10::AutoGradMode no_grad(false);
  try {
    if (reports_owed) {
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

double Trainer::rehearse(std::int64_t steps) {
  const c10::AutoGradMode no_grad(false);
  const at::Tensor values = arena.values.clone(), m = moment1.clone(), v = moment2.clone();
  const auto kept = averages;
  const Losses so_far = losses;
  const at::Tensor history = objective_->times.history.defined() ? objective_->times.history.clone() : at::Tensor();
  for (auto& [rate, average] : averages) average = average.clone();
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t n = 1; n <= steps; ++n) update(n);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  arena.values.copy_(values), moment1.copy_(m), moment2.copy_(v);
  averages = kept;
  objective_->times.history = history;
  losses = so_far;
  loss_sum = norm_sum = 0, rows_since = 0;
  return seconds;
}

}  // namespace scorelab
