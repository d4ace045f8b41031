#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <optional>

#include "model_state.h"

namespace scorelab {

void Counts::reset(std::int64_t rows) {
  for (auto* list : {&evaluations, &vjps, &jvps}) list->assign(rows, 0);
}

namespace {

void count(std::vector<std::int64_t>& list, std::int64_t rows, const PerRow& active) {
  if (static_cast<std::int64_t>(list.size()) < rows) list.resize(rows, 0);
  for (std::int64_t r = 0; r < rows; ++r) list[r] += active[r] != 0;
}

bool all_active(const PerRow& active) { return active.shared() && active.one() != 0; }

PerRow slice(const PerRow& all, std::int64_t begin, std::int64_t rows, std::int64_t padded) {
  if (all.shared()) return all;
  std::vector<double> out(padded);
  for (std::int64_t r = 0; r < padded; ++r) out[r] = all[begin + std::min(r, rows - 1)];
  return PerRow(std::move(out));
}

/// Rows begin .. begin + rows of the condition, the last one repeated up to `padded`.
Condition slice(const Condition& all, std::int64_t begin, std::int64_t rows, std::int64_t padded) {
  Condition out;
  for (const auto& [name, value] : all) {
    const at::Tensor part = value.narrow(0, begin, rows);
    out[name] = padded == rows ? part : at::cat({part, part.narrow(0, rows - 1, 1).repeat_interleave(padded - rows, 0)});
  }
  return out;
}

Input input(Model::State& m, const at::Tensor& in, const Times& t, const Condition& condition) {
  const Scheduler& q = *m.scheduler;
  const auto options = in.options().requires_grad(false);
  return {in,
          m.output.time(q, t).vector(in.size(0), options),
          q.alpha(t).vector(in.size(0), options),
          q.sigma(t).vector(in.size(0), options),
          condition,
          m.noise};
}

at::Tensor forward(Model::State& m, const at::Tensor& x, const Times& t, const Condition& condition) {
  const at::Tensor in = m.network->states() ? x : m.output.input(*m.scheduler, x, t);
  at::Tensor out;
  const auto body = [&] {
    out = m.network->forward(input(m, in, t, condition));
    auto expected = x.sizes().vec();
    expected[1] *= m.network->states() ? 1 : m.output.parts();
    if (!out.defined() || out.sizes() != at::IntArrayRef(expected))
      throw Error(c10::str("it returned shape ", out.defined() ? out.sizes() : at::IntArrayRef(), " for x of shape ", x.sizes(),
                           "; expected ", at::IntArrayRef(expected)));
    if (out.scalar_type() != x.scalar_type())
      throw Error(c10::str("it returned ", out.scalar_type(), " for x of ", x.scalar_type(), "; it must keep x's dtype"));
    if (m.look) m.look(x, t, out);
  };
  m.call ? m.call(*m.network, body) : body();
  return out;
}

/// Cut into chunks of one size, the last one padded with copies of its last row: matrix products round differently for other batch sizes.
at::Tensor forward_in_chunks(Model::State& m, const at::Tensor& x, const Times& t, const PerRow& active, const Condition& condition) {
  const std::int64_t rows = x.size(0);
  for (const auto& [name, value] : condition)
    if (value.size(0) != rows)
      throw Error(
          fmt::format("the model was asked at {} rows, but each of this call's {} samples has its own `{}`", rows, value.size(0), name));
  if (m.chunk == 0 || rows == m.chunk) return forward(m, x, t, condition);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < rows; begin += m.chunk) {
    const std::int64_t n = std::min(m.chunk, rows - begin);
    at::Tensor part = x.narrow(0, begin, n);
    if (!slice(active, begin, n, n).any()) {
      auto shape = part.sizes().vec();
      shape[1] *= m.network->states() ? 1 : m.output.parts();
      parts.push_back(at::zeros(shape, part.options()));
      continue;
    }
    if (n < m.chunk) part = at::cat({part, part.narrow(0, n - 1, 1).expand_as(x.narrow(0, 0, 1)).repeat_interleave(m.chunk - n, 0)});
    parts.push_back(forward(m, part, slice(t, begin, n, m.chunk), slice(condition, begin, n, m.chunk)).narrow(0, 0, n));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace

Model::Model(std::shared_ptr<State> state, PerRow active, bool guided)
    : state_(std::move(state)), active_(std::move(active)), guides_(guided ? state_->guides.size() : 0) {}
Model Model::rows(const PerRow& active) const {
  Model out = *this;
  out.active_ = active_ * active;
  return out;
}
Model Model::unguided() const {
  Model out = *this;
  out.guides_ = 0;
  return out;
}
Model Model::unconditional() const {
  Model out = *this;
  out.labelled_ = false;
  return out;
}
const Scheduler& Model::scheduler() const { return *state_->scheduler; }
Quantity Model::stated() const {
  const auto own = state_->network->states();
  return own ? *own : state_->output.states();
}

Prediction Model::evaluate(const at::Tensor& x, const Times& asked) const {
  const State& m = *state_;
  if (m.stop && m.stop->load(std::memory_order_relaxed)) throw Stopped();
  const Scheduler& q = *m.scheduler;
  const Times t = all_active(active_) ? asked : where(active_, asked, q.t_max());  // rows that are off may stand at t = 0
  for (std::size_t r = 0; r < t.rows(); ++r)
    if (t[r] == 0 && q.t_min() > 0)
      throw Error(
          "the model was asked at t = 0, where neither score nor velocity is defined; end the grid at t_min, or take the last step without "
          "an evaluation");
  return guides_ > 0 ? evaluate_guide(x, t) : evaluate_network(x, t);
}

Prediction Model::evaluate_guide(const at::Tensor& x, const Times& t) const {
  Model inner = *this;
  Guiding& one = state_->guides[--inner.guides_];
  const auto none = [](const at::Tensor&, Noise::Law, std::string_view, std::int64_t) -> at::Tensor {
    throw Error("it draws, but this is no sampling call");
  };
  GuideRun run(std::move(inner), one.call.noise ? one.call.noise->rows(active_) : Noise::scripted(none), one.call);
  std::optional<Prediction> out;
  const auto body = [&] { out.emplace(one.guide->guide(run, x, t)); };
  state_->call ? state_->call(*one.guide, body) : body();
  return std::move(*out);
}

Prediction Model::evaluate_network(const at::Tensor& x, const Times& t) const {
  State& m = *state_;
  const Scheduler& q = *m.scheduler;
  count(m.counts.evaluations, x.size(0), active_);
  if (m.max_nfe > 0) {
    const auto& n = m.counts.evaluations;
    const auto row = std::max_element(n.begin(), n.end()) - n.begin();
    m.over_budget = n[row] > m.max_nfe;
    if (m.over_budget)
      throw Error(fmt::format("row {} reached sample.max_nfe = {} network evaluations at t = {}; loosen the tolerances or raise the bound",
                              row, m.max_nfe, t[row]));
  }
  static const Condition no_labels;
  const at::Tensor F = forward_in_chunks(m, x, t, active_, labelled_ ? m.condition : no_labels);
  const auto own = m.network->states();
  return own ? Prediction(q, x, t, *own, F, active_) : m.output.read(q, x, t, F, active_);
}

GuideRun::GuideRun(Model model, Noise noise, Call& call) : model(std::move(model)), noise(std::move(noise)), call_(call) {}

const at::Tensor& GuideRun::clean() {
  if (!call_.clean) throw Error("it asks for draws of the data, but this is no sampling call");
  call_.observed = true;
  return call_.clean();
}

CallMemory& GuideRun::own_memory() { return call_.memory; }

Classified Model::classify(const at::Tensor& x, const Times& t) {
  State& m = *state_;
  if (m.stop && m.stop->load(std::memory_order_relaxed)) throw Stopped();
  static const Condition no_labels;
  count(m.counts.evaluations, x.size(0), active_);
  const std::int64_t rows = x.size(0), size = m.chunk == 0 ? rows : m.chunk;
  std::vector<at::Tensor> logits, features;
  const auto body = [&] {
    for (std::int64_t begin = 0; begin < rows; begin += size) {
      const std::int64_t n = std::min(size, rows - begin);
      const at::Tensor own = x.narrow(0, begin, n), last = own.narrow(0, n - 1, 1);
      const at::Tensor in = n == size ? own : at::cat({own, last.repeat_interleave(size - n, 0)});
      const Classified part = m.network->classify(input(m, in, slice(t, begin, n, size), no_labels));
      if (part.logits.size(0) != size || part.logits.dim() != 2 || part.features.size(0) != size || part.features.dim() != 2)
        throw Error(c10::str("it returned logits of shape ", part.logits.sizes(), " and features of shape ", part.features.sizes(), " for ",
                             size, " rows; expected [B, classes] and [B, F]"));
      if (m.look) m.look(x, t, part.logits);
      logits.push_back(part.logits.narrow(0, 0, n)), features.push_back(part.features.narrow(0, 0, n));
    }
  };
  m.call ? m.call(*m.network, body) : body();
  return {at::cat(logits), at::cat(features)};
}

Prediction Model::operator()(const at::Tensor& x, const Times& t) { return evaluate(x, t); }

Vjp Model::vjp(const at::Tensor& x, const Times& t, const at::Tensor& v, Quantity of) {
  return vjp(
      x, t, [&v](const Prediction&) { return v; }, of);
}

Vjp Model::vjp(const at::Tensor& x, const Times& t, const std::function<at::Tensor(const Prediction&)>& v, Quantity of) {
  const bool training = c10::GradMode::is_enabled();
  const c10::AutoGradMode with_grad(true);
  const at::Tensor leaf = training && x.requires_grad() ? x : x.detach().requires_grad_(true);
  Prediction prediction = evaluate(leaf, t);
  count(state_->counts.vjps, x.size(0), active_);
  at::Tensor product = torch::autograd::grad({prediction.as(of)}, {leaf}, {v(prediction)}, training, training)[0];
  if (training) return {std::move(prediction), std::move(product)};
  return {prediction.detach(x, of), product.detach()};
}

Pullback Model::pullback(const at::Tensor& x, const Times& t, Quantity of) {
  const bool training = c10::GradMode::is_enabled();
  const c10::AutoGradMode with_grad(true);
  const at::Tensor leaf = training && x.requires_grad() ? x : x.detach().requires_grad_(true);
  Prediction prediction = evaluate(leaf, t);
  const at::Tensor y = prediction.as(of);
  const auto sweep = [state = state_, active = active_, training, leaf, y](const at::Tensor& v) {
    const c10::AutoGradMode grad(true);
    count(state->counts.vjps, y.size(0), active);
    const at::Tensor product = torch::autograd::grad({y}, {leaf}, {v}, true, training)[0];
    return training ? product : product.detach();
  };
  if (!training) prediction = prediction.detach(x, of);
  return Pullback(std::move(prediction), sweep);
}

at::Tensor Model::jvp(const at::Tensor& x, const Times& t, const at::Tensor& v, Quantity of) {
  const bool training = c10::GradMode::is_enabled();
  const c10::AutoGradMode with_grad(true);
  const at::Tensor leaf = training && x.requires_grad() ? x : x.detach().requires_grad_(true);
  const at::Tensor y = evaluate(leaf, t).as(of);
  count(state_->counts.jvps, x.size(0), active_);
  const at::Tensor dual = at::zeros_like(y).requires_grad_(true);
  const at::Tensor pullback = torch::autograd::grad({y}, {leaf}, {dual}, true, true)[0];
  at::Tensor product = torch::autograd::grad({pullback}, {dual}, {v}, training, training)[0];
  return training ? product : product.detach();
}

}  // namespace scorelab
