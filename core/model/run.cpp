#include "run_state.h"

#include <ATen/ATen.h>
#include <scorelab/initial.h>
#include <scorelab/sampler.h>

namespace scorelab {

Step::~Step() = default;
bool Step::reaches_zero() const { return true; }
Initial::~Initial() = default;
std::optional<Moments> Initial::moments(const Start&) const { return std::nullopt; }
Sampler::~Sampler() = default;
double Sampler::start(const Scheduler& scheduler) const { return scheduler.t_max(); }

Run::Run(Model model, const Scheduler& scheduler, Noise noise, std::shared_ptr<State> state)
    : model(std::move(model)),
      scheduler(scheduler),
      noise(std::move(noise)),
      state_(std::move(state)) {}
Run::Run(Run&&) noexcept = default;
Run::~Run() = default;

at::Tensor Run::step(const Slot<Step>& slot, at::Tensor x, const Times& t, const Times& s) {
  if (!slot) return x;
  auto& place = state_->slots[slot.key()];
  if (!place.noise) {
    place.noise = std::make_unique<Noise>(noise.stream(slot.key()));
    place.state = std::make_shared<State>();
    place.state->group = state_->group;
    place.state->paths = state_->paths;
    place.state->observe = state_->observe;
    place.state->norm = state_->norm;
    place.state->call = state_->call;
  }
  Noise own = place.noise->rows(noise.active_);
  Run inner(model, scheduler, state_->paths ? own.along(t, s) : std::move(own), place.state);
  at::Tensor y;
  const auto body = [&] {
    y = slot->step(inner, x, t, s);
    if (y.defined() && y.sizes() == x.sizes() && y.scalar_type() == x.scalar_type()) return;
    const std::string got = y.defined() ? c10::str("shape ", y.sizes(), " of ", y.scalar_type())
                                        : "an undefined tensor";
    throw Error(c10::str("it returned ", got, " for x of shape ", x.sizes(), " of ",
                         x.scalar_type(), "; a step keeps shape and dtype"));
  };
  state_->call ? state_->call(*slot.component(), body) : body();
  return y;
}

Noise Run::increments(const Times& t, const Times& s) const {
  return state_->paths ? noise.along(t, s) : noise.rows(1);
}

namespace {

at::Tensor norms(const at::Tensor& x, std::int64_t group) {
  const std::int64_t rows = x.size(0);
  at::Tensor square = row_dot(x, x);
  if (group > 1) {
    TORCH_CHECK(rows % group == 0, "a sampling call holds whole groups of sample.group = ", group,
                " samples; got ", rows);
    // The mean of the norms, as in the paper's code, not the norm of the whole.
    at::Tensor means = square.sqrt().view({rows / group, group});
    means = (means.size(0) == 1 ? at::cat({means, means}).mean(1).narrow(0, 0, 1) : means.mean(1));
    square = means.repeat_interleave(group).square();
  }
  std::vector<std::int64_t> shape(x.dim(), 1);
  shape[0] = rows;
  return square.sqrt().view(shape);
}

}  // namespace

at::Tensor Run::norm(const at::Tensor& x) const {
  return state_->norm ? state_->norm(x) : norms(x, state_->group);
}

at::Tensor Run::rms(const at::Tensor& x) const {
  return norms(x, state_->group) / std::sqrt(static_cast<double>(x.numel() / x.size(0)));
}

Run Run::rows(const PerRow& active) const {
  return Run(model.rows(active), scheduler, noise.rows(active), state_);
}

void Run::observe(const Times& t, const at::Tensor& x) {
  if (state_->observe) state_->observe(t, x);
}

CallMemory& Run::own_memory() { return state_->memory; }

}  // namespace scorelab
