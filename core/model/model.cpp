#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

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

at::Tensor forward(Model::State& m, const at::Tensor& x, const Times& t) {
  const Scheduler& q = *m.scheduler;
  const auto options = x.options().requires_grad(false);
  const at::Tensor in = m.network->states() ? x : m.output.input(q, x, t);
  const Input input{in,
                    m.output.time(q, t).vector(x.size(0), options),
                    q.alpha(t).vector(x.size(0), options),
                    q.sigma(t).vector(x.size(0), options),
                    m.condition,
                    m.noise};
  at::Tensor out;
  const auto body = [&] {
    out = m.network->forward(input);
    if (!out.defined() || out.sizes() != x.sizes())
      throw Error(c10::str("it returned shape ", out.defined() ? out.sizes() : at::IntArrayRef(), " for x of shape ", x.sizes(),
                           "; it must return x's"));
    if (out.scalar_type() != x.scalar_type())
      throw Error(c10::str("it returned ", out.scalar_type(), " for x of ", x.scalar_type(), "; it must keep x's dtype"));
    if (m.look) m.look(x, t, out);
  };
  m.call ? m.call(*m.network, body) : body();
  return out;
}

/// Cut into chunks of one size, the last one padded with copies of its last row: matrix products round differently for other batch sizes.
at::Tensor forward_in_chunks(Model::State& m, const at::Tensor& x, const Times& t, const PerRow& active) {
  const std::int64_t rows = x.size(0);
  if (m.chunk == 0 || rows == m.chunk) return forward(m, x, t);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < rows; begin += m.chunk) {
    const std::int64_t n = std::min(m.chunk, rows - begin);
    at::Tensor part = x.narrow(0, begin, n);
    if (!slice(active, begin, n, n).any()) {
      parts.push_back(at::zeros_like(part));
      continue;
    }
    if (n < m.chunk) part = at::cat({part, part.narrow(0, n - 1, 1).expand_as(x.narrow(0, 0, 1)).repeat_interleave(m.chunk - n, 0)});
    parts.push_back(forward(m, part, slice(t, begin, n, m.chunk)).narrow(0, 0, n));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

Prediction evaluate(const std::shared_ptr<Model::State>& state, const at::Tensor& x, const Times& asked, const PerRow& active,
                    bool guided) {
  Model::State& m = *state;
  if (m.stop && m.stop->load(std::memory_order_relaxed)) throw Stopped();
  const Scheduler& q = *m.scheduler;
  const Times t = all_active(active) ? asked : where(active, asked, q.t_max());  // rows that are off may stand at t = 0
  for (std::size_t r = 0; r < t.rows(); ++r)
    if (t[r] == 0 && q.t_min() > 0)
      throw Error(
          "the model was asked at t = 0, where neither score nor velocity is defined; end the grid at t_min, or take the last step without "
          "an evaluation");
  count(m.counts.evaluations, x.size(0), active);
  if (m.max_nfe > 0) {
    const auto& n = m.counts.evaluations;
    const auto row = std::max_element(n.begin(), n.end()) - n.begin();
    m.over_budget = n[row] > m.max_nfe;
    if (m.over_budget)
      throw Error(fmt::format("row {} reached sample.max_nfe = {} network evaluations at t = {}; loosen the tolerances or raise the bound",
                              row, m.max_nfe, t[row]));
  }
  const at::Tensor F = forward_in_chunks(m, x, t, active);
  const auto own = m.network->states();
  Prediction out = own ? Prediction(q, x, t, *own, F, active) : m.output.read(q, x, t, F, active);
  if (!guided) return out;
  Model network(state, active, false);
  for (const auto& guide : m.guides) {
    const auto body = [&] { out = guide->guide(network, out); };
    m.call ? m.call(*guide, body) : body();
  }
  return out;
}

}  // namespace

Model::Model(std::shared_ptr<State> state, PerRow active, bool guided)
    : state_(std::move(state)), active_(std::move(active)), guided_(guided) {}
Model Model::rows(const PerRow& active) const { return Model(state_, active_ * active, guided_); }
Model Model::unguided() const { return Model(state_, active_, false); }
const Scheduler& Model::scheduler() const { return *state_->scheduler; }
Quantity Model::stated() const {
  const auto own = state_->network->states();
  return own ? *own : state_->output.states();
}

Prediction Model::operator()(const at::Tensor& x, const Times& t) { return evaluate(state_, x, t, active_, guided_); }

Vjp Model::vjp(const at::Tensor& x, const Times& t, const at::Tensor& v, Quantity of) {
  const bool training = c10::GradMode::is_enabled();
  const c10::AutoGradMode with_grad(true);
  const at::Tensor leaf = training && x.requires_grad() ? x : x.detach().requires_grad_(true);
  Prediction prediction = evaluate(state_, leaf, t, active_, guided_);
  count(state_->counts.vjps, x.size(0), active_);
  at::Tensor product = torch::autograd::grad({prediction.as(of)}, {leaf}, {v}, training, training)[0];
  if (training) return {std::move(prediction), std::move(product)};
  return {Prediction(scheduler(), x, t, of, prediction.as(of).detach(), active_), product.detach()};
}

at::Tensor Model::jvp(const at::Tensor& x, const Times& t, const at::Tensor& v, Quantity of) {
  const bool training = c10::GradMode::is_enabled();
  const c10::AutoGradMode with_grad(true);
  const at::Tensor leaf = training && x.requires_grad() ? x : x.detach().requires_grad_(true);
  const at::Tensor y = evaluate(state_, leaf, t, active_, guided_).as(of);
  count(state_->counts.jvps, x.size(0), active_);
  const at::Tensor dual = at::zeros_like(y).requires_grad_(true);
  const at::Tensor pullback = torch::autograd::grad({y}, {leaf}, {dual}, true, true)[0];
  at::Tensor product = torch::autograd::grad({pullback}, {dual}, {v}, training, training)[0];
  return training ? product : product.detach();
}

}  // namespace scorelab
