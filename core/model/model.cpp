#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/draft/own_network.h>
#include <scorelab/error.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <optional>

#include "executor.h"

namespace scorelab {

namespace {

void count(std::vector<std::int64_t>& list, std::int64_t rows, const PerRow& active) {
  if (static_cast<std::int64_t>(list.size()) < rows) list.resize(rows, 0);
  for (std::int64_t r = 0; r < rows; ++r) list[r] += active[r] != 0;
}

bool all_active(const PerRow& active) { return active.shared() && active.one() != 0; }

}  // namespace

Model::Model(std::shared_ptr<const Parts> parts, std::shared_ptr<Context> context, PerRow active,
             bool guided)
    : parts_(std::move(parts)),
      context_(std::move(context)),
      active_(std::move(active)),
      guides_(guided ? context_->guides.size() : 0) {}
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
  out.conditioned_ = false;
  return out;
}
Model Model::under(const Model& caller) const {
  const Context& outer = *caller.context_;
  auto context = std::make_shared<Context>();
  context->chunk = outer.chunk;
  context->bf16 = outer.bf16;
  context->stop = outer.stop;
  context->call = outer.call;
  context->condition = outer.condition;
  context->told = outer.told;
  Model out(parts_, std::move(context), caller.active_, false);
  out.conditioned_ = caller.conditioned_;
  return out;
}
Model Model::with_network(std::shared_ptr<Network> network, bool learns) const {
  Model out = under(*this);
  if (learns) out.context_->dropout = context_->dropout;
  out.context_->look = context_->look;
  Parts parts = *parts_;
  parts.network = std::move(network);
  out.parts_ = std::make_shared<const Parts>(std::move(parts));
  return out;
}
const Scheduler& Model::scheduler() const { return *parts_->scheduler; }
const Space& Model::space() const { return *parts_->space; }
Quantity Model::stated() const {
  const auto own = parts_->network->states();
  return own ? *own : parts_->output.states();
}

Prediction Model::evaluate(const at::Tensor& x, const Times& asked) const {
  context_->expect_no_stop();
  const Scheduler& q = *parts_->scheduler;
  // inactive rows may be at t = 0
  const Times t = all_active(active_) ? asked : where(active_, asked, q.t_max());
  for (std::size_t r = 0; r < t.rows(); ++r)
    if (t[r] == 0 && q.t_min() > 0)
      throw Error(
          "the model was asked at t = 0, where neither score nor velocity is defined; end the grid "
          "at t_min, or take the last step without an evaluation");
  return guides_ > 0 ? evaluate_guide(x, t) : evaluate_network(x, t);
}

Prediction Model::evaluate_guide(const at::Tensor& x, const Times& t) const {
  Model inner = *this;
  Guiding& one = context_->guides[--inner.guides_];
  const auto none = [](const at::Tensor&, Noise::Law, std::string_view,
                       std::int64_t) -> at::Tensor {
    throw Error("it draws noise, but outside of a sampling call");
  };
  GuideRun run(std::move(inner),
               one.call->noise ? one.call->noise->rows(active_) : Noise::scripted(none), *one.call);
  std::optional<Prediction> out;
  const auto body = [&] { out.emplace(one.guide->guide(run, x, t)); };
  context_->call ? context_->call(*one.guide, body) : body();
  return std::move(*out);
}

Prediction Model::evaluate_network(const at::Tensor& x, const Times& t) const {
  Context& c = *context_;
  count(c.counts.evaluations, x.size(0), active_);
  if (c.max_nfe > 0) {
    const auto& n = c.counts.evaluations;
    const auto row = std::max_element(n.begin(), n.end()) - n.begin();
    c.over_budget = n[row] > c.max_nfe;
    if (c.over_budget)
      throw Error(
          fmt::format("row {} reached sample.max_nfe = {} network evaluations at t = {}; loosen "
                      "the tolerances or raise the bound",
                      row, c.max_nfe, t[row]));
  }
  const at::Tensor F = Executor(*parts_, c).forward(x, t, active_, conditioned_);
  const Scheduler& q = *parts_->scheduler;
  const auto own = parts_->network->states();
  return own ? Prediction(q, x, t, *own, F, active_) : parts_->output.read(q, x, t, F, active_);
}

GuideRun::GuideRun(Model model, Noise noise, Call& call)
    : model(std::move(model)), noise(std::move(noise)), call_(call) {}

const at::Tensor& GuideRun::clean() {
  if (!call_.clean) throw Error("it asks for draws of the data, but this is no sampling call");
  call_.observed = true;
  return call_.clean();
}

CallMemory& GuideRun::own_memory() { return call_.memory; }

Classified Model::classify(const at::Tensor& x, const Times& t) {
  context_->expect_no_stop();
  count(context_->counts.evaluations, x.size(0), active_);
  return Executor(*parts_, *context_).classify(x, t, conditioned_);
}

Model ModelRef::under(const Model& caller) const { return model_->under(caller); }
Model ModelRef::alone() const { return *model_; }
Network& ModelRef::network() const { return *model_->parts_->network; }

void OwnNetwork::params(Params& p) {
  p(name_, network_, "the network that is trained beside the model's");
  p(name_ + "_from", from_,
    "a model of the manifest, of the same network, whose weights it starts from; none: first "
    "weights of its own");
  p(name_ + "_lr", lr_,
    "its learning rate, at every step; the rest of Adam is as in the table train")
      .range(1e-12, 100);
  p(name_ + "_updates", updates_, "its updates in each step, before the model's").range(1, 1000);
}
Model OwnNetwork::under(const Model& caller) const {
  if (!network_) throw Error("`" + name_ + "` is \"none\", and is asked");
  return caller.with_network(std::static_pointer_cast<Network>(network_.component()), true);
}

Prediction Model::operator()(const at::Tensor& x, const Times& t) { return evaluate(x, t); }

Vjp Model::vjp(const at::Tensor& x, const Times& t, const at::Tensor& v, Quantity of) {
  return vjp(
      x, t, [&v](const Prediction&) { return v; }, of);
}

Vjp Model::vjp(const at::Tensor& x, const Times& t,
               const std::function<at::Tensor(const Prediction&)>& v, Quantity of) {
  const bool training = c10::GradMode::is_enabled();
  const c10::AutoGradMode with_grad(true);
  const at::Tensor leaf = training && x.requires_grad() ? x : x.detach().requires_grad_(true);
  Prediction prediction = evaluate(leaf, t);
  count(context_->counts.vjps, x.size(0), active_);
  at::Tensor product =
      torch::autograd::grad({prediction.as(of)}, {leaf}, {v(prediction)}, training, training)[0];
  if (training) return {std::move(prediction), std::move(product)};
  return {prediction.detach(x, of), product.detach()};
}

Pullback Model::pullback(const at::Tensor& x, const Times& t, Quantity of) {
  const bool training = c10::GradMode::is_enabled();
  const c10::AutoGradMode with_grad(true);
  const at::Tensor leaf = training && x.requires_grad() ? x : x.detach().requires_grad_(true);
  Prediction prediction = evaluate(leaf, t);
  const at::Tensor y = prediction.as(of);
  const auto sweep = [context = context_, active = active_, training, leaf,
                      y](const at::Tensor& v) {
    const c10::AutoGradMode grad(true);
    count(context->counts.vjps, y.size(0), active);
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
  count(context_->counts.jvps, x.size(0), active_);
  const at::Tensor dual = at::zeros_like(y).requires_grad_(true);
  const at::Tensor pullback = torch::autograd::grad({y}, {leaf}, {dual}, true, true)[0];
  at::Tensor product = torch::autograd::grad({pullback}, {dual}, {v}, training, training)[0];
  return training ? product : product.detach();
}

}  // namespace scorelab
