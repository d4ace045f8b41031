#include "train/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <set>

#include "model/draw_data.h"
#include "train/collective.h"

namespace scorelab {

TrainPort::~TrainPort() = default;

namespace {

/// A network's parameters with their first values, which its own code gives.
Arena arena_of(const InItsName& call, Network& network, std::uint64_t seed,
               const std::string& stream) {
  std::optional<Arena> out;
  run_as(call, network, [&] { out.emplace(network, seed, stream); });
  return *std::move(out);
}

}  // namespace

Trainer::Trainer(std::shared_ptr<const Model::Parts> model, Model::Context context,
                 std::shared_ptr<DataSet> data, std::shared_ptr<Objective> objective,
                 TrainOptions options, std::vector<double> ema, std::uint64_t seed,
                 at::TensorOptions tensors, const std::atomic<bool>& stop, Collective* others)
    : model_(std::move(model)),
      context_(std::move(context)),
      data_(std::move(data)),
      objective_(std::move(objective)),
      options_(std::move(options)),
      seed_(seed),
      tensors_(tensors),
      stop_(stop),
      others_(others),
      model_learner_(arena_of(context_.call, *model_->network, seed, "initialise/")),
      poison_(at::zeros({}, tensors.dtype(at::kDouble))),
      poisoned_(at::zeros({}, tensors.dtype(at::kFloat))),
      ahead_([this](const std::string& stream) {
        DataItems out;
        around_data(false, [&] { out = take_items(*data_, options_.batch, Noise(seed_, stream)); });
        return out;
      }) {
  for (const double rate : ema) averages_[rate] = arena().values.clone();
  if (others_ && objective_->times.learns())
    throw Error(
        "times = \"loss-second-moment\" learns from every loss of a batch, and each process sees "
        "its own alone; use another `times`");
  if (parts() > options_.batch)
    throw Error(
        fmt::format("a batch of {} cannot be cut into {} parts: train.accumulate for each process",
                    options_.batch, parts()));
}

void Trainer::take_networks() {
  for (const OwnNetwork* own : objective_->networks()) {
    if (!*own) continue;
    if (own->name() == "average")
      throw Error(
          "a network of its own cannot be called `average`: its checkpoint has a group of that "
          "name");
    own_.push_back(std::make_unique<Learner>(
        arena_of(context_.call, *own->network(), seed_, own->name() + "/initialise/"), own));
    Arena& its = own_.back()->arena;
    try {
      if (own->from()) its.fill(its.values, own->from().network().parameters());
    } catch (const Error& e) {
      throw Error(fmt::format("{}_from = \"{}\": {}", own->name(), own->from().name(), e.what()));
    }
  }
}

Learner::Learner(Arena parameters, const OwnNetwork* own)
    : arena(std::move(parameters)),
      moment1(at::zeros_like(arena.values)),
      moment2(at::zeros_like(arena.values)),
      updates(at::zeros({}, arena.values.options().dtype(at::kFloat))),
      own(own) {}

void Learner::state(TrainState& s, const std::string& prefix) {
  s.parameters(prefix + "parameters", arena, arena.values);
  s.parameters(prefix + "optimizer/exp_avg", arena, moment1);
  s.parameters(prefix + "optimizer/exp_avg_sq", arena, moment2);
  if (own) s.number("loss_since_last_row of " + own->name(), loss_sum);
}

void Trainer::average_in(std::shared_ptr<Network> network) {
  const c10::AutoGradMode no_grad(false);
  average_network_ = std::move(network);
  average_.emplace(arena_of(context_.call, *average_network_, seed_, "initialise/"));
  average_->values.copy_(arena().values);
  average_->require_gradients(false);
}

void Trainer::start_from(const NamedTensors& weights) {
  Arena& own = model_learner_.arena;
  own.fill(own.values, weights);
  const c10::AutoGradMode no_grad(false);
  for (auto& [rate, average] : averages_) average.copy_(own.values);
  if (average_) average_->values.copy_(own.values);
}

namespace {

constexpr std::size_t longest_unread = 1000;  // losses and norms that the device holds

void expect_finite(const at::Tensor& x, const char* what) {
  if (!x.isfinite().all().item<bool>())
    throw Error(fmt::format("the first tensor that is not finite is {}", what));
}

PerRow part_of(const PerRow& all, std::int64_t first, std::int64_t rows) {
  if (all.shared()) return all;
  std::vector<double> own(rows);
  for (std::int64_t r = 0; r < rows; ++r) own[r] = all[first + r];
  return PerRow(std::move(own));
}

}  // namespace

std::string Trainer::step_stream(std::int64_t n) { return fmt::format("train#{}", n); }

DataItems Trainer::items(const std::string& stream, std::int64_t n, std::int64_t rows, Aim aim) {
  if (aim == Aim::training) {
    const bool own = stream != step_stream(n);  // a batch for one of the objective's networks
    const bool more = look_ahead_ && !own && n < options_.steps;
    return ahead_.get(stream, more ? step_stream(n + 1) : "");
  }
  ahead_.wait();
  DataItems out;
  const bool held_out = aim == Aim::evaluation && held_out_;
  around_data(held_out, [&] {
    out = take_items(held_out ? *held_out_ : *data_, rows, Noise(seed_, stream));
  });
  return out;
}

/// Everything a step draws comes from the step's own noise, so that a step is the same whether or
/// not there was a pause before it.
Trainer::Draws Trainer::draw(const std::string& stream, std::int64_t n, std::int64_t rows,
                             const TimeLaw& law, Aim aim) {
  const Scheduler& q = *model_->scheduler;
  Noise noise(seed_, stream);
  Draws out;
  TrainBatch& b = out.batch;
  DataItems got = items(stream, n, rows, aim);
  const Space& space = *model_->space;
  run_as(context_.call, space,
         [&] { b.x0 = encode_items(std::move(got), space, noise, tensors_, b.condition); });
  const bool check = aim == Aim::search;
  if (check) expect_finite(b.x0, "the data");
  if (aim != Aim::evaluation && options_.drop_condition > 0) {
    Noise drops = noise.stream("labels");
    out.told = drops.uniform(at::empty({rows, 1}, tensors_.dtype(at::kDouble))).squeeze(1) >=
               options_.drop_condition;
  }
  Noise times = noise.stream("times"), eps = noise.stream("eps");
  const at::Tensor u = times.uniform(at::empty({rows, 1}, at::kDouble));
  PerRow alpha, sigma;
  run_as(context_.call, q, [&] {
    const TimeLaw::Drawn drawn =
        law.draw(q, {u.const_data_ptr<double>(), u.const_data_ptr<double>() + rows});
    b.t = drawn.t;
    b.importance = drawn.importance;
    alpha = q.alpha(b.t);
    sigma = q.sigma(b.t);
  });
  b.eps = eps.normal(b.x0);
  b.x = combine(alpha, b.x0, sigma, b.eps);
  if (check) expect_finite(b.x, "x_t");
  return out;
}

Trainer::Draws Trainer::Draws::part(std::int64_t first, std::int64_t rows) const {
  const auto of = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, first, rows) : x; };
  Draws out;
  const TrainBatch& b = batch;
  out.batch = {of(b.x0), of(b.eps), of(b.x), part_of(b.t, first, rows),
               part_of(b.importance, first, rows)};
  for (const auto& [name, value] : b.condition) out.batch.condition[name] = of(value);
  out.told = of(told);
  out.first = first;
  return out;
}

at::Tensor Trainer::loss_of(const Draws& draws, const std::string& stream, std::int64_t n, Aim aim,
                            const OwnNetwork* network, Counts* counts) {
  const bool check = aim == Aim::search;
  const Scheduler& q = *model_->scheduler;
  const TrainBatch& b = draws.batch;
  const std::int64_t rows = b.x.size(0);
  Noise noise(seed_, stream, draws.first);
  Noise own = noise.stream("objective"), dropout = noise.stream("dropout");
  const auto context = std::make_shared<Model::Context>(context_);
  // Once a network of the objective's own is updated, its step is finished: a checkpoint in between
  // would be of no step. A bad step is searched to its end: nothing may be stored after it.
  if ((!own_.empty() && aim != Aim::evaluation) || aim == Aim::search) context->stop = nullptr;
  context->condition = b.condition;
  context->told = draws.told;
  if (aim != Aim::evaluation) context->dropout = &dropout;
  if (check)
    context->look = [](const at::Tensor&, const Times&, const at::Tensor& out) {
      expect_finite(out, "the network's output");
    };
  Model model(model_, context);
  TrainRun run{model, q, own, n, options_.steps};
  std::optional<Model> average;
  if (average_network_) run.average = &average.emplace(model.with_network(average_network_));
  at::Tensor loss = network ? objective_->loss_of(*network, run, b) : objective_->loss(run, b);
  if (counts) *counts = context->counts;
  const bool weighted = !b.importance.shared() || b.importance.one() != 1;
  if (loss.defined() && loss.dim() == 0 && (weighted || objective_->times.learns() || parts() > 1))
    throw Error(
        "the objective returned one number for the batch, but train.accumulate or the choice of "
        "`times` needs one per sample; set accumulate = 1 and times = \"uniform\"");
  if (!loss.defined() || (loss.dim() != 0 && loss.sizes() != at::IntArrayRef({rows})))
    throw Error(c10::str("the objective returned a loss of shape ",
                         loss.defined() ? loss.sizes() : at::IntArrayRef(),
                         "; expected one number a sample, [", rows, "], or one for the batch, []"));
  if (check) expect_finite(loss, "the loss");
  if (loss.dim() == 0) return loss;
  if (objective_->times.learns() && !network) seen_.emplace_back(b.t, loss.detach());
  if (weighted) loss = loss * b.importance.vector(rows, loss.options().requires_grad(false));
  return loss.mean();
}

double Trainer::Losses::spread() const {
  const auto n = static_cast<double>(count);
  return count < 2 ? std::numeric_limits<double>::quiet_NaN()
                   : std::sqrt(std::max(0.0, (squares - sum * sum / n) / (n - 1)));
}

double Trainer::learning_rate(std::int64_t n) const {
  double lr = options_.lr;
  if (n < options_.warmup) lr *= static_cast<double>(n) / static_cast<double>(options_.warmup);
  const double falling = options_.decay * static_cast<double>(options_.steps);
  const double left = static_cast<double>(options_.steps - n);
  return left < falling ? lr * (left + 1) / (falling + 1) : lr;
}

void Trainer::adam(Learner& learner, double lr) const {
  learner.updates.add_(1);
  const auto trained = [&](const at::Tensor& flat) {
    return std::vector{learner.arena.trained(flat)};
  };
  auto p = trained(learner.arena.values), g = trained(learner.arena.gradients),
       m = trained(learner.moment1), v = trained(learner.moment2);
  std::vector<at::Tensor> none, steps{learner.updates};
  if (options_.optimizer == "adamw")
    at::_fused_adamw_(p, g, m, v, none, steps, lr, options_.beta1, options_.beta2,
                      options_.weight_decay, options_.eps, false, false, {}, poisoned_);
  else
    at::_fused_adam_(p, g, m, v, none, steps, lr, options_.beta1, options_.beta2, 0.0, options_.eps,
                     false, false, {}, poisoned_);
}

std::int64_t Trainer::parts() const { return options_.accumulate * (others_ ? others_->size : 1); }

at::Tensor Trainer::gradient(Learner& learner, const std::string& stream, std::int64_t n, Aim aim,
                             Counts* counts) {
  if (!own_.empty()) {
    model_learner_.arena.require_gradients(&learner == &model_learner_);
    for (const auto& other : own_) other->arena.require_gradients(other.get() == &learner);
  }
  const Draws all = draw(stream, n, options_.batch, objective_->times, aim);
  learner.arena.gradients.zero_();
  seen_.clear();
  at::Tensor sum;
  for (std::int64_t k = others_ ? others_->rank : 0; k < parts();
       k += others_ ? others_->size : 1) {
    const std::int64_t first = k * options_.batch / parts(),
                       rows = (k + 1) * options_.batch / parts() - first;
    const double share = static_cast<double>(rows) / static_cast<double>(options_.batch);
    const c10::AutoGradMode grad(true);
    Counts of_part;
    const at::Tensor loss =
        loss_of(parts() == 1 ? all : all.part(first, rows), stream, n, aim, learner.own, &of_part);
    (parts() == 1 ? loss : loss * share).backward();
    const at::Tensor value = loss.detach().to(at::kDouble) * share;
    sum = sum.defined() ? sum + value : value;
    if (counts)
      for (const auto& [to, from] : {std::pair{&counts->evaluations, &of_part.evaluations},
                                     {&counts->vjps, &of_part.vjps},
                                     {&counts->jvps, &of_part.jvps}})
        to->insert(to->end(), from->begin(), from->end());
  }
  if (others_ && aim == Aim::training) {
    others_->sum(learner.arena.gradients);
    others_->sum(sum);
  }
  return sum;
}

void Trainer::learn(Learner& learner, const std::string& stream, std::int64_t n, Counts* counts) {
  {
    const c10::AutoGradMode no_grad(false);
    Network& network = learner.own ? *learner.own->network() : *model_->network;
    run_as(context_.call, network, [&] { network.constrain(); });
  }
  const at::Tensor loss = gradient(learner, stream, n, Aim::training, counts);
  at::Tensor& gradients = learner.arena.gradients;
  const at::Tensor norm = gradients.norm().to(at::kDouble);
  const at::Tensor both = at::stack({loss, norm}), sum = both.sum();
  unread_.push_back({&learner, stream, n, both});
  poison_.add_(sum - sum);  // 0, or NaN from now on
  at::ne_out(poisoned_, poison_, 0);
  if (options_.clip > 0) gradients.mul_((options_.clip / norm).clamp_max(1));
}

void Trainer::update(std::int64_t n) {
  for (const auto& own : own_)
    for (std::int64_t k = 0; k < own->own->updates(); ++k) {
      learn(*own, fmt::format("train#{}/{}#{}", n, own->own->name(), k), n, nullptr);
      adam(*own, own->own->lr());
    }
  Counts c;
  learn(model_learner_, step_stream(n), n, &c);
  if (!seen_.empty()) read();
  for (const auto& [t, loss] : seen_) {
    const at::Tensor losses = loss.to(at::kCPU, at::kDouble).contiguous();
    objective_->times.learn(
        *model_->scheduler, t,
        {losses.const_data_ptr<double>(), losses.const_data_ptr<double>() + losses.numel()});
  }
  adam(model_learner_, learning_rate(n));
  const at::Tensor& values = arena().values;
  if (average_) {
    const double rate = objective_->average_rate(n, options_.steps).value_or(-1);
    if (!(rate >= 0 && rate <= 1))
      throw Error(fmt::format("its average_rate at step {} is no number from 0 to 1", n));
    average_->values.lerp_(values, 1 - rate);
  }
  for (auto& [rate, average] : averages_) {
    const double decay =
        options_.ema_warmup
            ? std::min(rate, static_cast<double>(1 + n) / static_cast<double>(10 + n))
            : rate;
    average.lerp_(values, 1 - decay);
  }
  cost_of(c);
}

void Trainer::cost_of(const Counts& c) {
  const auto sum = [](const std::vector<std::int64_t>& rows) {
    return std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  };
  cost = {sum(c.evaluations), sum(c.vjps), sum(c.jvps)};
}

void Trainer::read() {
  if (unread_.empty()) return;
  std::vector<at::Tensor> noted;
  for (const auto& u : unread_) noted.push_back(u.loss_and_norm);
  const at::Tensor all = at::stack(noted).to(at::kCPU);
  const auto values = all.accessor<double, 2>();
  for (std::size_t i = 0; i < unread_.size(); ++i) {
    const double loss = values[static_cast<std::int64_t>(i)][0],
                 norm = values[static_cast<std::int64_t>(i)][1];
    const auto& [learner, stream, n, both] = unread_[i];
    if (!std::isfinite(loss) || !std::isfinite(norm)) diverged(*learner, stream, n, loss, norm);
    if (learner->own) {
      learner->loss_sum += loss / static_cast<double>(learner->own->updates());
      continue;
    }
    loss_sum_ += loss;
    norm_sum_ += norm;
    ++rows_since_;
    if (n == 1) losses_.first = loss;
    if (n > options_.steps - std::max<std::int64_t>(1, options_.steps / 10)) {
      losses_.sum += loss;
      losses_.squares += loss * loss;
      ++losses_.count;
    }
  }
  unread_.clear();
}

/// The bad step again, with a look at every tensor on the way. The weights are still those before
/// it: Adam has done nothing since.
void Trainer::diverged(Learner& learner, const std::string& stream, std::int64_t n, double loss,
                       double norm) {
  std::string where = "the gradient";
  try {
    gradient(learner, stream, n, Aim::search, nullptr);
    for (const auto& [name, g] : learner.arena.views(learner.arena.gradients))
      if (!g.isfinite().all().item<bool>()) where = "the gradient of " + name;
    where = "the first tensor that is not finite is " + where;
  } catch (const Error& e) {
    where = e.what();
  }
  throw Error(
      fmt::format("training{} diverged at step {}: loss {}, norm of the gradient {}; {}. Lower {}, "
                  "or set train.clip{}",
                  learner.own ? fmt::format(" of `{}`", learner.own->name()) : "", n, loss, norm,
                  where, learner.own ? learner.own->name() + "_lr" : "train.lr",
                  learner.own ? "" : " or train.warmup"));
}

void Trainer::with_weights(const at::Tensor& weights, const std::function<void()>& body) {
  Arena& own = model_learner_.arena;
  const std::unique_ptr<Arena, void (*)(Arena*)> again(&own, [](Arena* a) { a->show(a->values); });
  own.show(weights);
  body();
}

void Trainer::evaluate(TrainPort& port, std::int64_t n) {
  TrainPort::Values values;
  const auto loss = [&] {
    // The same draws each time: also of times, which losses seen would move.
    const Draws draws = draw("evaluate", n, std::max<std::int64_t>(options_.batch, 256),
                             objective_->times.unlearnt(), Aim::evaluation);
    const double value = loss_of(draws, "evaluate", n, Aim::evaluation).item<double>();
    seen_.clear();
    return value;
  };
  values.emplace_back("loss", loss());
  for (const auto& [rate, average] : averages_)
    with_weights(average,
                 [&, r = rate] { values.emplace_back(fmt::format("loss_ema_{}", r), loss()); });
  port.row("evaluate", n, values);
}

void Trainer::log(TrainPort& port, std::int64_t n) {
  read();
  const auto count = static_cast<double>(rows_since_);
  TrainPort::Values values{
      {"loss", loss_sum_ / count}, {"grad_norm", norm_sum_ / count}, {"lr", learning_rate(n)}};
  for (const auto& own : own_)
    values.emplace_back("loss_" + own->own->name(), std::exchange(own->loss_sum, 0) / count);
  port.row("train", n, values);
  port.progress(n, loss_sum_ / count);
  loss_sum_ = norm_sum_ = 0;
  rows_since_ = 0;
}

bool Trainer::due(std::int64_t every) const {
  return every > 0 && (step % every == 0 || step == options_.steps);
}

void Trainer::report(TrainPort& port) {
  // a stop in here leaves a checkpoint that says so, and they are made when training goes on
  reports_owed_ = true;
  ahead_.wait();
  if (due(options_.evaluate_every)) evaluate(port, step);
  if (due(options_.preview_every))
    with_weights(averages_.empty() ? arena().values : averages_.rbegin()->second,
                 [&] { port.preview(step); });
  reports_owed_ = false;
}

void Trainer::run(TrainPort& port) {
  const c10::AutoGradMode no_grad(false);
  model_learner_.updates.fill_(step);
  for (const auto& own : own_) own->updates.fill_(step * own->own->updates());
  const auto checkpoint = [&] {
    read();
    ahead_.wait();
    port.checkpoint();
  };
  look_ahead_ = !data_have_state();  // a checkpoint holds the state of this step, not of the next
  try {
    if (reports_owed_) {
      report(port);
      checkpoint();
    }
    if (options_.steps == 0) checkpoint();
    while (step < options_.steps) {
      if (stop_.load()) throw Stopped();
      update(step + 1);
      ++step;
      if (due(options_.log_every)) log(port, step);
      report(port);
      if (due(options_.checkpoint_every) || step == options_.steps || keep.contains(step))
        checkpoint();
      if (unread_.size() >= longest_unread) read();
    }
    port.settle();
  } catch (const Stopped&) {
    // a step that was stopped inside has changed nothing but gradients: it is made again
    checkpoint();
    port.settle();
    throw;
  }
}

}  // namespace scorelab
