#include "sample/sampling.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include "model/run_state.h"
#include "train/data.h"

namespace scorelab {
namespace {

at::Tensor initial(const Sampling& s, std::int64_t first, std::int64_t rows) {
  const Scheduler& q = *s.model->scheduler;
  std::vector<std::int64_t> shape{rows};
  for (const auto n : s.data->shape()) shape.push_back(n);
  Noise noise(s.seed, s.stream + "/initial", first);
  if (s.options.initial == "prior") return q.prior_std() * noise.normal(at::empty(shape, s.tensors));
  Condition condition;
  const at::Tensor x0 = draw_data(*s.data, rows, noise, s.tensors, condition);
  if (s.options.initial == "data") return x0;
  Noise eps = noise.stream("eps");
  return q.alpha(q.t_max()) * x0 + q.sigma(q.t_max()) * eps.normal(x0);
}

at::Tensor one_call(Sampling& s, std::int64_t first, std::int64_t rows,
                    const std::function<void(const Times&, const at::Tensor&)>& observe) {
  s.model->counts.reset(rows);
  auto state = std::make_shared<Run::State>();
  state->group = s.options.group;
  state->observe = observe;
  state->call = s.call;
  Run run(Model(s.model), *s.model->scheduler, Noise(s.seed, s.stream, first), state);
  return s.sampler->sample(run, initial(s, first, rows));
}

/// The same call again, with a look at every step and evaluation: where did it stop being finite?
[[noreturn]] void find_non_finite(Sampling& s, std::int64_t first, std::int64_t rows) {
  std::int64_t step = 1;
  const auto finite = [](const at::Tensor& x) { return x.isfinite().all().item<bool>(); };
  double last = s.model->scheduler->t_max();
  const std::string samples = fmt::format("samples {} to {} hold values that are not finite", first, first + rows - 1);
  s.model->look = [&](const at::Tensor& x, const Times& t, const at::Tensor& out) {
    if (finite(x) && !finite(out))
      throw Error(fmt::format("{}: its output in step {}, at t = {}, was the first", samples, step, t.max_value()));
  };
  try {
    one_call(s, first, rows, [&](const Times& t, const at::Tensor& x) {
      if (!finite(x))
        throw Error(
            fmt::format("{}: x after step {}, which went from t = {} to t = {}, was the first", samples, step, last, t.max_value()));
      last = t.max_value(), ++step;
    });
  } catch (...) {
    s.model->look = nullptr;
    throw;
  }
  s.model->look = nullptr;
  throw Error(samples + ": the sampler's result, after its last step, was the first");
}

}  // namespace

std::int64_t Sampling::rows() const {
  const std::int64_t chunk = std::max<std::int64_t>(1, model->chunk), group = options.group;
  return (chunk + group - 1) / group * group;
}

Sampled draw_samples(Sampling& s, std::int64_t first, std::int64_t n) {
  const c10::AutoGradMode no_grad(false);
  const std::int64_t rows = s.rows();
  at::Tensor x = one_call(s, first, rows, [&](const Times& t, const at::Tensor& now) {
    if (s.model->stop && s.model->stop->load()) throw Stopped();
    if (s.observe) s.observe(t, now);
  });
  std::vector<std::int64_t> shape{rows};
  for (const auto d : s.data->shape()) shape.push_back(d);
  if (x.sizes() != at::IntArrayRef(shape) || x.scalar_type() != c10::typeMetaToScalarType(s.tensors.dtype()))
    throw Error(c10::str("the sampler returned shape ", x.sizes(), " of ", x.scalar_type(), "; expected ", at::IntArrayRef(shape), " of ",
                         s.tensors.dtype()));
  if (!std::isfinite(x.sum().item<double>())) find_non_finite(s, first, rows);
  const Affine map = s.data->to_model();
  Sampled out{((x.narrow(0, 0, n) - map.shift) / map.scale).to(at::kCPU).contiguous(), s.model->counts.evaluations};
  out.nfe.resize(static_cast<std::size_t>(n));
  return out;
}

}  // namespace scorelab
