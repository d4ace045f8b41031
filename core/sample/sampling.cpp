#include "sample/sampling.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "model/condition.h"
#include "model/draw_data.h"
#include "model/run_state.h"

namespace scorelab {
namespace {

using Observe = std::function<void(const Times&, const at::Tensor&)>;

at::Tensor batch_of(const Sampling& s, std::int64_t rows) {
  std::vector<std::int64_t> shape{rows};
  for (const auto n : s.model->space->shape()) shape.push_back(n);
  return at::empty(shape, s.tensors);
}

double start_of(const Sampling& s) {
  double t = 0;
  run_as(s.call, *s.sampler, [&] { t = s.sampler->start(*s.model->scheduler); });
  return t;
}

/// Does `f` with the initial distribution and what surrounds it.
void with_start(const Sampling& s, std::int64_t first, std::int64_t rows,
                const std::function<void(const Initial&, const Start&)>& f) {
  const auto initial = std::dynamic_pointer_cast<Initial>(s.options.initial->component());
  if (!initial) throw Error("sample.initial names no distribution");
  const at::Tensor like = batch_of(s, rows);
  const auto clean = [&](Noise& noise) {
    Condition condition;
    return draw_data(*s.data, *s.model->space, rows, noise, s.tensors, condition, s.call);
  };
  const Start start{*s.model->scheduler, start_of(s), first, like, clean, *s.model->space};
  run_as(s.call, *initial, [&] { f(*initial, start); });
}

/// How many draws of a recording a call has taken: the start's come first, then the sampler's.
using Taken = std::shared_ptr<std::int64_t>;

/// What the start or the sampler draws: normals of its own, or a recording's. Rows that a recording
/// does not have, which fill up a call, are 0.
Noise noise_of(const Sampling& s, const std::string& stream, std::int64_t first,
               const Taken& next) {
  if (!s.recorded.defined()) return {s.seed, stream, first};
  return Noise::scripted([all = s.recorded, first, next](const at::Tensor& like, Noise::Law law,
                                                         std::string_view, std::int64_t) {
    if (law != Noise::Law::normal)
      throw Error("sample.noise holds normals, and this draw is of another law; remove `noise`");
    if (*next == all.size(0))
      throw Error(
          fmt::format("sample.noise holds {} draws, that of the start among them, and here is one "
                      "more; record more, or take fewer steps",
                      all.size(0)));
    const at::Tensor z = all[(*next)++];
    const std::int64_t known = std::clamp<std::int64_t>(z.size(0) - first, 0, like.size(0));
    at::Tensor out = at::zeros_like(like);
    out.narrow(0, 0, known).copy_(z.narrow(0, first, known));
    return out;
  });
}

at::Tensor initial(const Sampling& s, std::int64_t first, std::int64_t rows, const Taken& taken) {
  Noise noise = noise_of(s, s.stream + "/initial", first, taken);
  at::Tensor x;
  with_start(s, first, rows, [&](const Initial& initial, const Start& start) {
    x = initial.draw(start, noise);
    if (!x.defined() || x.sizes() != start.like.sizes() ||
        x.scalar_type() != start.like.scalar_type())
      throw Error(c10::str("it returned shape ", x.defined() ? x.sizes() : at::IntArrayRef(),
                           "; expected ", start.like.sizes(), " of ", start.like.scalar_type()));
  });
  return x;
}

/// Draws of the data, one for each sample of a call, and their conditions: what guides observe and
/// what models may be told.
struct Companions {
  at::Tensor x;
  Condition condition;
};

/// What the samples of a call are told of one condition; undefined where they are told nothing, so
/// that each network has its own null.
at::Tensor told(const Sampling& s, const ConditionType& type, std::int64_t first, std::int64_t rows,
                const std::function<const Companions&()>& companions) {
  const auto* one = std::get_if<double>(&s.options.condition);
  const auto* from = std::get_if<std::string>(&s.options.condition);
  if (from && *from == "none") return {};
  const auto given = s.data->conditions();
  if (one || *from == "balanced") {
    const std::string asked = one ? fmt::format("{}", *one) : "\"balanced\"";
    if (type.name != "label")
      throw Error(
          fmt::format("sample.condition = {} sets only the class `label`, not the condition `{}`; "
                      "set \"data\" or \"none\"",
                      asked, type.name));
    const auto device = at::TensorOptions(at::kLong).device(s.tensors.device());
    const std::int64_t named = classes_of(given), known = type.classes;
    const std::int64_t classes =
        named > 0 && known > 0 ? std::min(known, named) : std::max(known, named);
    if (one && (*one != std::floor(*one) || (classes > 0 && *one >= static_cast<double>(classes))))
      throw Error(
          fmt::format("sample.condition = {}: the classes are 0 to {}", asked, classes - 1));
    if (one) return at::full({rows}, static_cast<std::int64_t>(*one), device);
    if (classes == 0)
      throw Error(
          "sample.condition = \"balanced\" takes a number of classes, which neither data set nor "
          "network states");
    if (s.options.moments != "exact")
      return at::arange(first, first + rows, device).remainder(classes);
  }
  const bool known = std::any_of(given.begin(), given.end(),
                                 [&](const ConditionType& g) { return g.name == type.name; });
  return known ? companions().condition.at(type.name) : at::Tensor();
}

/// The samples of a call: the rows are first, first + 1, ..; or all stand for one and the same, of
/// which a probe asks.
struct Rows {
  std::int64_t first = 0, count = 1;
  bool probes = false;
};

/// What belongs to the samples of a call: conditions, and what guides draw, keep and observe.
std::shared_ptr<Model::Context> context_of(const Sampling& s, Model::Context settings,
                                           const Rows& rows, const Noise& noise) {
  const auto drawn = std::make_shared<std::optional<Companions>>();
  const std::function<const Companions&()> companions = [&s, rows, drawn]() -> const Companions& {
    if (rows.probes)
      throw Error(
          "sample.moments = \"exact\" describes one distribution, but here each sample has its own "
          "data draw: give guides the observed `values`, and set sample.condition to one class or "
          "\"none\"");
    if (!*drawn) {
      Noise own(s.seed, s.stream + "/data", rows.first);
      Companions c;
      c.x = draw_data(*s.data, *s.model->space, rows.count, own, s.tensors, c.condition, s.call);
      drawn->emplace(std::move(c));
    }
    return **drawn;
  };
  auto out = std::make_shared<Model::Context>(std::move(settings));
  out->counts.reset(rows.count);
  for (const auto& type : s.conditions)
    if (at::Tensor own = told(s, type, rows.first, rows.count, companions); own.defined())
      out->condition[type.name] = std::move(own);
  for (std::size_t i = 0; i < out->guides.size(); ++i) {
    out->guides[i].call = std::make_shared<GuideRun::Call>();
    GuideRun::Call& call = *out->guides[i].call;
    call.noise.emplace(noise.stream("guide", static_cast<std::int64_t>(i)));
    call.clean = [companions]() -> const at::Tensor& { return companions().x; };
  }
  return out;
}

using Norm = std::function<at::Tensor(const at::Tensor&)>;

/// One call of the sampler: its result, and what it came to.
struct Called {
  at::Tensor x;
  std::shared_ptr<Model::Context> context;
};

/// How a call is made that is not a sampling's own: a probe's, or a search's.
struct Way {
  Model::Context settings;
  /// of a probe, which has no samples of its own: what stands for their norms
  Norm norm = nullptr;
};

/// `kept`: the context, which a caller looks at also where the call throws.
Called one_call(const Sampling& s, std::int64_t first, at::Tensor x, Noise noise,
                const Observe& observe, Way way, std::shared_ptr<Model::Context>* kept = nullptr) {
  const auto context =
      context_of(s, std::move(way.settings), {first, x.size(0), way.norm != nullptr}, noise);
  if (kept) *kept = context;
  auto state = std::make_shared<Run::State>();
  state->paths = s.paths;
  state->group = s.options.group;
  state->observe = observe;
  state->call = s.call;
  state->norm = std::move(way.norm);
  Run run(Model(s.model, context), *s.model->scheduler, std::move(noise), state);
  return {s.sampler->sample(run, std::move(x)), context};
}

Called one_call(const Sampling& s, std::int64_t first, std::int64_t rows, const Observe& observe,
                Way way, std::shared_ptr<Model::Context>* kept = nullptr) {
  const auto taken = std::make_shared<std::int64_t>(0);
  at::Tensor start = initial(s, first, rows, taken);
  return one_call(s, first, std::move(start), noise_of(s, s.stream, first, taken), observe,
                  std::move(way), kept);
}

/// What a probe is evaluated with: the batch as it is.
Model::Context probing(const Sampling& s, std::int64_t bound) {
  Model::Context out = s.context;
  out.chunk = 0;
  if (bound > 0) out.max_nfe = bound;
  return out;
}

void expect_no_stop(const Sampling& s) {
  if (s.context.stop && s.context.stop->load()) throw Stopped();
}

/// The same call again, with a look at every step and evaluation: where did it stop being finite?
[[noreturn]] void find_non_finite(const Sampling& s, std::int64_t first, std::int64_t rows,
                                  std::int64_t asked) {
  std::int64_t step = 1;
  const auto finite = [](const at::Tensor& x) { return x.isfinite().all().item<bool>(); };
  double last = start_of(s);
  const std::string samples =
      fmt::format("samples {} to {} hold values that are not finite", first, first + asked - 1);
  Way looking{s.context};
  looking.settings.look = [&](const at::Tensor& x, const Times& t, const at::Tensor& out) {
    if (finite(x) && !finite(out))
      throw Error(fmt::format("{}: its output in step {}, at t = {}, was the first", samples, step,
                              t.max_value()));
  };
  const auto observe = [&](const Times& t, const at::Tensor& x) {
    if (!finite(x))
      throw Error(
          fmt::format("{}: x after step {}, which went from t = {} to t = {}, was the first",
                      samples, step, last, t.max_value()));
    last = t.max_value();
    ++step;
  };
  one_call(s, first, rows, observe, std::move(looking));
  throw Error(samples + ": the sampler's result, after its last step, was the first");
}

}  // namespace

std::int64_t Sampling::rows() const {
  const std::int64_t chunk = std::max<std::int64_t>(1, context.chunk), group = options.group;
  return (chunk + group - 1) / group * group;
}

Sampled draw_samples(const Sampling& s, std::int64_t first, std::int64_t n) {
  const c10::AutoGradMode no_grad(false);
  const std::int64_t rows = s.rows();
  const Space& space = *s.model->space;
  const auto data_units = [&](const at::Tensor& y) {
    at::Tensor x;
    run_as(s.call, space,
           [&] { x = space.decode(y.narrow(0, 0, n)).to(at::kCPU, y.scalar_type()).contiguous(); });
    return x;
  };
  const auto taken = std::make_shared<std::int64_t>(0);
  const at::Tensor start = initial(s, first, rows, taken);
  if (s.trace) s.trace(start_of(s), data_units(start));
  const auto observe = [&](const Times& t, const at::Tensor& now) {
    expect_no_stop(s);
    if (s.observe) s.observe(t, now);
    if (s.trace) s.trace(t, data_units(now));
  };
  const auto [x, context] =
      one_call(s, first, start, noise_of(s, s.stream, first, taken), observe, {s.context});
  expect_no_stop(s);  // a sampler that let nothing of it pass may have cut its loop short
  std::vector<std::int64_t> shape{rows};
  for (const auto d : s.model->space->shape()) shape.push_back(d);
  if (x.sizes() != at::IntArrayRef(shape) ||
      x.scalar_type() != c10::typeMetaToScalarType(s.tensors.dtype()))
    throw Error(c10::str("the sampler returned shape ", x.sizes(), " of ", x.scalar_type(),
                         "; expected ", at::IntArrayRef(shape), " of ", s.tensors.dtype()));
  if (!std::isfinite(x.sum().item<double>())) find_non_finite(s, first, rows, n);
  Sampled out{data_units(x), context->counts.evaluations};
  run_as(s.call, space, [&, &x = x] {
    const auto item = s.data->shape();
    if (out.x.sizes().slice(1) != at::IntArrayRef(item) ||
        !std::isfinite(out.x.sum().item<double>()))
      throw Error(c10::str("it decoded ", x.sizes(), " to ", out.x.sizes(),
                           "; expected finite values, each item of ", at::IntArrayRef(item)));
  });
  out.nfe.resize(static_cast<std::size_t>(n));
  for (const auto& type : s.conditions) {
    const auto found = context->condition.find(type.name);
    const at::Tensor value =
        found == context->condition.end() ? null_of(type, n, at::kCPU) : found->second;
    out.condition[type.name] = value.narrow(0, 0, n).to(at::kCPU).contiguous();
  }
  for (const auto& g : context->guides)
    if (g.call->observed) out.clean = data_units(g.call->clean());
  return out;
}

std::optional<std::int64_t> dry_run(const Sampling& s, std::int64_t bound) {
  const c10::AutoGradMode no_grad(false);
  std::shared_ptr<Model::Context> context;
  const auto observe = [&](const Times&, const at::Tensor&) { expect_no_stop(s); };
  try {
    one_call(s, 0, s.options.group, observe, {probing(s, bound)}, &context);
  } catch (const Error&) {
    if (context && context->over_budget) return std::nullopt;
    throw;
  }
  const auto& n = context->counts.evaluations;
  return *std::max_element(n.begin(), n.end());
}

std::int64_t steps_within(std::int64_t nfe,
                          const std::function<std::optional<std::int64_t>(std::int64_t)>& cost) {
  const auto one = cost(1);
  if (!one) throw Error(fmt::format("a budget of nfe = {} network evaluations buys no step", nfe));
  std::int64_t fits = 1, too_many = std::max<std::int64_t>(2, nfe + 1);
  while (cost(too_many)) {  // steps that cost less than one evaluation each
    fits = too_many;
    too_many *= 2;
    if (fits > 1000000)
      throw Error(
          "a budget of network evaluations cannot set the steps here: more steps cost no more");
  }
  if (fits == 1 && too_many > 2) {
    const auto two = cost(2);
    if (!two) return 1;
    fits = 2;
    if (*two > *one) {  // nearly always a + b steps
      const std::int64_t guess = std::min(too_many - 1, 1 + (nfe - *one) / (*two - *one));
      if (guess > fits) (cost(guess) ? fits : too_many) = guess;
      if (fits + 1 < too_many && !cost(fits + 1)) too_many = fits + 1;
    }
  }
  while (fits + 1 < too_many) {
    const std::int64_t middle = fits + (too_many - fits) / 2;
    (cost(middle) ? fits : too_many) = middle;
  }
  return fits;
}

namespace {

/// E|x| of independent Gaussian elements: sqrt(q) = (4 pi)^-1/2 times the integral of (1 - exp(-s
/// q)) s^-3/2 ds over s > 0, whose mean is known. In u = log s, with the mean of q scaled to 1, the
/// trapezoidal rule is exact to rounding.
at::Tensor mean_norm(const at::Tensor& mean, const at::Tensor& variance) {
  const at::Tensor m2 = mean.to(at::kCPU, at::kDouble).flatten().square(),
                   v = variance.to(at::kCPU, at::kDouble).flatten();
  const at::Tensor square = (m2 + v).sum();
  if (square.item<double>() == 0) return square;
  constexpr double end = 70, step = 0.25;
  const at::Tensor u = at::arange(-end, end + step, step, at::kDouble).unsqueeze(1),
                   s = u.exp() / square;
  const at::Tensor wider = 1 + 2 * s * v,
                   log_mean = -(0.5 * at::log1p(2 * s * v) + s * m2 / wider).sum(1);
  const double integral =
      (-at::expm1(log_mean) * (-0.5 * u.squeeze(1)).exp()).sum().item<double>() * step;
  return square.sqrt() * (integral / std::sqrt(4 * M_PI));
}

/// [B, 1, .., 1].
std::vector<std::int64_t> per_row(const at::Tensor& x) {
  std::vector<std::int64_t> out(x.dim(), 1);
  out[0] = x.size(0);
  return out;
}

Moments moments_of_start(const Sampling& s) {
  std::optional<Moments> start;
  with_start(s, 0, 1,
             [&](const Initial& initial, const Start& about) { start = initial.moments(about); });
  if (!start)
    throw Error(
        "sample.moments = \"exact\" needs a start whose elements are independent Gaussians; this "
        "one states no moments");
  if (s.options.group > 1)
    throw Error("sample.moments = \"exact\" knows no groups; remove sample.group");
  return *start;
}

void only_normals(Noise::Law law) {
  if (law == Noise::Law::uniform)
    throw Error("sample.moments = \"exact\" knows normal draws only; this sampler draws uniforms");
}

[[noreturn]] void not_affine(const std::string& why) {
  throw Error(
      "sample.moments = \"exact\" needs a sampler and a model that are affine in x and the draws, "
      "element by element: " +
      why);
}

/// That the last row of y, of a random start and random draws, follows from the other rows.
void expect_affine_in(const at::Tensor& y, const at::Tensor& start,
                      const std::vector<at::Tensor>& draws, double bound) {
  const at::Tensor b = y[0], a = y[1] - b;
  at::Tensor expected = b + a * start[0].to(at::kCPU, at::kDouble);
  for (std::size_t k = 0; k < draws.size(); ++k)
    expected += (y[static_cast<std::int64_t>(k) + 2] - b) * draws[k][0].to(at::kCPU, at::kDouble);
  const double off = (y[y.size(0) - 1] - expected).abs().max().item<double>(),
               size = expected.abs().max().item<double>() + 1;
  if (!(off <= bound * size))
    not_affine(fmt::format("a random probe is off by {:.3g} at a size of {:.3g}", off, size));
}

}  // namespace

ExactMoments exact_moments(const Sampling& s) {
  const c10::AutoGradMode no_grad(false);
  const Moments start = moments_of_start(s);
  const at::Tensor like = batch_of(s, 1);
  const auto watch = [&](const Times&, const at::Tensor&) { expect_no_stop(s); };
  std::int64_t draws = 0;
  Noise silent =
      Noise::scripted([&](const at::Tensor& of, Noise::Law law, std::string_view, std::int64_t) {
        only_normals(law);
        ++draws;
        return at::zeros_like(of);
      });
  const Norm ones = [](const at::Tensor& of) {
    return at::ones_like(of.flatten(1).narrow(1, 0, 1)).view(per_row(of));
  };
  const std::int64_t nfe =
      one_call(s, 0, at::zeros_like(like), std::move(silent), watch, {probing(s, 0), ones})
          .context->counts.evaluations.at(0);
  // Row 0 starts at 0 without noise; row 1 at 1; row 2 + k has 1 for draw k alone; in the last row
  // all is random: an affine sampler's result there follows from the others.
  const std::int64_t rows = draws + 3;
  at::Tensor x = at::zeros_like(batch_of(s, rows));
  Noise check(0, "probe", rows - 1);
  const at::Tensor random_x = check.normal(like);
  x.select(0, 1).fill_(1);
  x.narrow(0, rows - 1, 1).copy_(random_x);
  std::vector<at::Tensor> random;
  std::int64_t n = 0;
  // Norms are the population's, over the start and the draws, of which every row is an affine map.
  const auto population = [&](const at::Tensor& of) {
    const at::Tensor base = of[0], a = of[1] - base, c = of.narrow(0, 2, draws) - base;
    const at::Tensor mean = base + a * start.mean.to(of.options()),
                     variance = a.square() * start.variance.to(of.options()) + c.square().sum(0);
    return mean_norm(mean, variance).to(of.options()).expand(per_row(of));
  };
  Noise one_each =
      Noise::scripted([&](const at::Tensor& of, Noise::Law law, std::string_view, std::int64_t) {
        only_normals(law);
        at::Tensor z = at::zeros_like(of);
        if (n < draws) z.select(0, 2 + n).fill_(1);
        random.push_back(check.normal(like));
        z.narrow(0, rows - 1, 1).copy_(random.back());
        ++n;
        return z;
      });
  const at::Tensor y = one_call(s, 0, x, std::move(one_each), watch, {probing(s, 0), population})
                           .x.to(at::kCPU, at::kDouble);
  if (n != draws)
    not_affine(fmt::format("it made {} draws from one start and {} from another", draws, n));
  const at::Tensor b = y[0], a = y[1] - b;
  const at::Tensor c = y.narrow(0, 2, draws) - b;
  const bool doubles = s.tensors.dtype() == caffe2::TypeMeta::Make<double>();
  expect_affine_in(y, random_x, random, doubles ? 1e-9 : 1e-3);
  const Affine map = s.model->space->expect_affine();
  const at::Tensor mean = b + a * start.mean,
                   variance = a.square() * start.variance + c.square().sum(0);
  return {{(mean - map.shift) / map.scale, variance / (map.scale * map.scale)}, nfe};
}

}  // namespace scorelab
