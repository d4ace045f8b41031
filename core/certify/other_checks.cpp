#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "certify/rig.h"
#include "evaluate/evaluation.h"
#include "model/draw_data.h"
#include "model/evaluation.h"
#include "setup/generator.h"
#include "train/trainer.h"

namespace scorelab::certify {
namespace {

using host::make_as;

/// The parts that a component is prepared with: VP, a Gaussian mixture with its exact network, float64.
struct Around {
  explicit Around(const Json& request, const Json& instead = Json::object()) : Around(own_parts(request, instead)) {}
  template <class T>
  std::shared_ptr<T> make(const Json& config) const {
    auto out = make_as<T>(config);
    host::check_all(config);
    host::prepare(out, config, setup.setting());
    return out;
  }
  Json spec;
  host::Setup setup;
  std::atomic<bool> stop{false};

 private:
  struct Spec {
    Json json;
  };
  static Spec own_parts(const Json& request, const Json& instead) {
    Json spec{{"dataset", own(request, "dataset", "gaussian-mixture", {{"modes", 4}, {"separation", 4.0}})},
              {"scheduler", own(request, "scheduler", "vp")},
              {"network", own(request, "network", "exact-gaussian-mixture", {{"labels", true}})},
              {"output", nullptr},
              {"run", {{"precision", "float64"}}}};
    spec.update(instead);
    return {std::move(spec)};
  }
  explicit Around(Spec parts) : spec(std::move(parts.json)), setup(spec, at::kCPU, true) {}
};

bool has(const std::vector<schema::Ability>& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(), [&](const auto& a) { return a.name == name; });
}

void same(bool equal, const char* what) {
  if (!equal) throw Failed(what);
}

const char* const drew = "it drew from LibTorch's default generator: every draw belongs to the Noise that it is handed";

Json objective(const std::string& check, const Json& request) {
  Around a(request);
  const bool of_classes = has(schema::from_json(request["schema"]).needs, "classifies");
  a.spec["network"] = own(request, "network", of_classes ? "mlp-classifier" : "mlp", {{"width", 16}, {"depth", 1}});
  const host::Setup setup(a.spec, at::kCPU, true);
  auto one = make_as<Objective>(request["component"]);
  host::check_all(request["component"]);
  host::prepare(one, request["component"], setup.setting());
  Arena arena(*setup.network, 3);  // draws the network's first weights
  const bool of_batches = has(schema::from_json(request["schema"]).gives, "batch-loss");
  std::vector<std::unique_ptr<Arena>> of_own;
  for (const OwnNetwork* network : one->networks())
    if (*network) of_own.push_back(std::make_unique<Arena>(*network->network(), 4));
  // The moving average that it may learn from: another network of the same kind, with other weights.
  const host::Setup other(a.spec, at::kCPU, true);
  if (!other.network->parameters().empty())
    of_own.push_back(std::make_unique<Arena>(*other.network, 5)), of_own.back()->require_gradients(false);
  const c10::AutoGradMode grad(true);
  const auto loss = [&](std::int64_t from, std::int64_t rows, const OwnNetwork* of = nullptr) {
    Noise noise(1, "train", from), own_noise(1, "objective", from);
    TrainBatch b;
    b.x0 = noise.normal(at::empty({rows, 2}, at::kDouble)), b.eps = noise.normal(b.x0);
    const at::Tensor u = noise.uniform(at::empty({rows, 1}, at::kDouble));
    b.t = one->times.draw(*setup.scheduler, {u.const_data_ptr<double>(), u.const_data_ptr<double>() + rows}).t;
    b.x = setup.scheduler->alpha(b.t) * b.x0 + setup.scheduler->sigma(b.t) * b.eps;
    b.condition["label"] = at::arange(from, from + rows, at::kLong).remainder(4);
    Model model = setup.handle(a.spec, a.stop);
    TrainRun run{model, *setup.scheduler, own_noise, 1, 1000};
    Model average = other.handle(a.spec, a.stop);
    if (one->average_rate(0, 1000)) run.average = &average;
    return of ? one->loss_of(*of, run, b) : one->loss(run, b);
  };
  const host::KeepGenerator keep;
  const at::Tensor first = loss(0, 16);
  if (check == "generators") return same(!keep.changed(), drew), Json{{"detail", "untouched"}};
  if (check == "loss") {
    for (const OwnNetwork* network : one->networks())
      if (*network && !loss(0, 16, network).isfinite().all().item<bool>())
        throw Failed(fmt::format("the loss of its network `{}` is not finite", network->name()));
    if (of_batches && first.dim() == 0) {
      same(first.isfinite().item<bool>(), "its loss is not finite");
      return {{"detail", fmt::format("{:.3g}, of the batch", first.item<double>())}};
    }
    if (first.sizes() != at::IntArrayRef({16}))
      throw Failed("its loss of 16 samples has shape " + c10::str(first.sizes()) + "; expected [16], or [] with `gives(\"batch-loss\")`");
    same(first.isfinite().all().item<bool>(), "its loss is not finite");
    const double off = (at::cat({loss(0, 5), loss(5, 11)}) - first).abs().max().item<double>();
    same(off <= 1e-9 * std::max(1.0, first.abs().max().item<double>()),
         "a sample's loss depends on the others in its batch: it must be that of each sample, and the host takes the mean");
    return {{"detail", fmt::format("mean {:.3g}", first.mean().item<double>())}};
  }
  if (check == "repeatable") return same(loss(0, 16).equal(first), "the same draws gave another loss"), Json{{"detail", "to the last bit"}};
  first.mean().backward();
  const double norm = arena.gradients.norm().item<double>();
  same(std::isfinite(norm) && norm > 0, "its gradient is 0 or not finite: the network would not learn");
  return {{"detail", fmt::format("norm of the gradient {:.3g}", norm)}};
}

Json guide(const std::string& check, const Json& request) {
  const Around a(request);
  const auto one = a.make<Guide>(request["component"]);
  Noise noise(1, "x");
  const at::Tensor x = 2 * noise.normal(at::empty({20, 2}, at::kDouble));
  const auto answer = [&](std::int64_t first, std::int64_t rows) {
    Noise draws(1, "clean", first);
    const auto context = std::make_shared<Model::Context>(a.setup.context(a.stop));
    const at::Tensor clean = draw_data(*a.setup.data, *a.setup.space, rows, draws, a.setup.tensors, context->condition);
    const auto call = std::make_shared<GuideRun::Call>();
    call->noise.emplace(1, "guide", first);
    call->clean = [&clean]() -> const at::Tensor& { return clean; };
    context->guides.push_back({one, call});
    return Model(a.setup.model(a.spec), context)(x.narrow(0, first, rows), 0.5).x0();
  };
  const host::KeepGenerator keep;
  const at::Tensor first = answer(0, 20);
  if (check == "generators") return same(!keep.changed(), drew), Json{{"detail", "untouched"}};
  if (check == "shape")
    return same(first.sizes() == x.sizes() && first.scalar_type() == x.scalar_type() && first.isfinite().all().item<bool>(),
                "its x0 has another shape or dtype, or is not finite"),
           Json{{"detail", "kept"}};
  if (check == "repeatable")
    return same(answer(0, 20).equal(first), "the same input gave another answer"), Json{{"detail", "to the last bit"}};
  std::vector<at::Tensor> parts;
  for (int i = 0; i < 20; i += 7) parts.push_back(answer(i, std::min(7, 20 - i)));
  same(at::cat(parts).equal(first), "in chunks of 7 it answers otherwise: rows see each other");
  return {{"detail", "20 rows, by 7"}};
}

Json initial(const std::string& check, const Json& request) {
  const Around a(request);
  const auto one = a.make<Initial>(request["component"]);
  const auto& q = *a.setup.scheduler;
  double t = q.t_max();
  const auto draw = [&](std::int64_t first, std::int64_t rows) {
    Noise noise(1, "initial", first);
    const at::Tensor like = at::empty({rows, 2}, at::kDouble);
    const auto clean = [&](Noise& own) {
      Condition condition;
      return a.setup.data->get(std::vector<std::int64_t>(rows, 0), own, condition);
    };
    return one->draw({q, t, first, like, clean, *a.setup.space}, noise);
  };
  const host::KeepGenerator keep;
  const at::Tensor x = draw(0, 20);
  if (check == "generators") return same(!keep.changed(), drew), Json{{"detail", "untouched"}};
  if (check == "shape")
    return same(x.sizes() == at::IntArrayRef({20, 2}) && x.scalar_type() == at::kDouble && x.isfinite().all().item<bool>(),
                "it has another shape or dtype, or is not finite"),
           Json{{"detail", "kept"}};
  if (check == "repeatable") return same(draw(0, 20).equal(x), "the same seed gave another start"), Json{{"detail", "to the last bit"}};
  if (check == "chunks")
    return same(at::cat({draw(0, 7), draw(7, 13)}).equal(x), "rows see each other, or draws are not the noise's"),
           Json{{"detail", "7 and 13 of 20"}};
  const at::Tensor like = at::empty({1, 2}, at::kDouble);
  t = (q.t_min() + q.t_max()) / 2;  // as of a sampler that starts below t_max
  const auto stated = one->moments({q, t, 0, like, nullptr, *a.setup.space});
  if (!stated) throw Skipped("it states none");
  const at::Tensor many = draw(0, 20000);
  const double n = 20000;
  const at::Tensor least = 1e-9 * (1 + stated->mean.abs()), std = stated->variance.sqrt().maximum(least), z = (many - stated->mean) / std;
  const double mean = (z.mean(0).abs() * std::sqrt(n)).max().item<double>(),
               var = ((z.var(0) - 1).abs() * std::sqrt(n / 2)).max().item<double>();
  const bool point = stated->variance.max().item<double>() == 0;
  same(point ? z.abs().max().item<double>() <= 1 : mean < 5 && var < 5,
       "20,000 draws are more than 5 standard errors from the stated moments");
  const double together = (z.select(1, 0) * z.select(1, 1)).mean().item<double>() * std::sqrt(n);
  same(point || std::abs(together) < 5, "its moments state independent elements, and those of its draws are correlated");
  return {{"detail", fmt::format("{:.1f} and {:.1f} standard errors", mean, var)}};
}

Json dataset(const std::string& check, const Json& request) {
  Around a(request);
  a.spec["dataset"] = request["component"];
  host::check_all(request["component"]);
  const host::Setup setup(a.spec, at::kCPU, false);
  const auto size = setup.data->size();
  const auto get = [&](std::int64_t first, std::int64_t rows) {
    std::vector<std::int64_t> index(rows);
    for (std::int64_t i = 0; i < rows; ++i) index[i] = size > 0 ? (first + i) % size : 0;
    Noise noise(1, "data", first);
    Condition condition;
    return setup.data->get(index, noise, condition);
  };
  const host::KeepGenerator keep;
  const at::Tensor x = get(0, 20);
  if (check == "generators") return same(!keep.changed(), drew), Json{{"detail", "untouched"}};
  if (check == "shape") {
    same(x.sizes().slice(1) == at::IntArrayRef(setup.data->shape()) && x.size(0) == 20, "its items have another shape than it states");
    same(x.isfinite().all().item<bool>() && x.is_floating_point(), "its items are not finite floats");
    return {{"detail", c10::str(x.sizes().slice(1))}};
  }
  if (check == "repeatable") return same(get(0, 20).equal(x), "the same seed gave other items"), Json{{"detail", "to the last bit"}};
  if (check == "chunks")
    return same(at::cat({get(0, 7), get(7, 13)}).equal(x), "items see each other, or draws are not the noise's"),
           Json{{"detail", "7 and 13 of 20"}};
  if (!setup.law) throw Skipped("it states no law");
  const at::Tensor many = get(0, 20000).flatten(1).to(at::kDouble), w = setup.law->weights.unsqueeze(1),
                   mean = (w * setup.law->means).sum(0);
  const double z = ((many.mean(0) - mean).abs() / (many.std(0) / std::sqrt(20000.0)).clamp_min(1e-12)).max().item<double>();
  same(z < 5, "the mean of 20,000 items is more than 5 standard errors from the law's");
  const at::Tensor one = at::ones({20000}, at::kDouble);
  if (setup.law->variances.min().item<double>() > 0) {  // E score = 0 and E x score = -1: a wrong width or weight shows
    const at::Tensor score = setup.law->score(many, one, 0 * one),
                     product = ((many - mean) * score).sum(1) + static_cast<double>(many.size(1));
    const double y = std::abs(product.mean().item<double>()) / (product.std().item<double>() / std::sqrt(20000.0));
    same(y < 5, "the stated law's score does not fit the draws (Stein's identity)");
    return {{"detail", fmt::format("{:.1f} and {:.1f} standard errors", z, y)}};
  }
  return {{"detail", fmt::format("{:.1f} standard errors", z)}};
}

Json space(const std::string& check, const Json& request) {
  Around a(request, {{"dataset", own(request, "dataset", "digits")}, {"network", own(request, "network", "mlp")}});
  a.spec["space"] = request["component"];
  host::check_all(request["component"]);
  const host::Setup setup(a.spec, at::kCPU, false);
  const Space& one = *setup.space;
  const at::Tensor x = reference_of(*setup.data, 200, 1).all();
  const auto encode = [&](std::int64_t first, std::int64_t rows) {
    Noise noise(1, "encode", first);
    return one.encode(x.narrow(0, first, rows), &noise);
  };
  const host::KeepGenerator keep;
  const at::Tensor z = encode(0, 200);
  same(z.dim() > 0 && z.size(0) == 200 && z.sizes().slice(1) == at::IntArrayRef(one.shape()) && z.is_floating_point(),
       "encoded items have another shape than it states, or are no floats");
  const at::Tensor back = one.decode(z).to(at::kCPU, at::kDouble);
  if (check == "generators") return same(!keep.changed(), drew), Json{{"detail", "untouched"}};
  if (check == "shape") {
    same(back.sizes() == x.sizes(), "decoded items have another shape than the data");
    same(z.isfinite().all().item<bool>() && back.isfinite().all().item<bool>(), "it is not finite on the data");
    same(one.encode(x, nullptr).sizes() == z.sizes(), "without noise, which metrics do not give, it encodes to another shape");
    same(one.decode(z.to(at::kFloat)).sizes() == x.sizes(), "decoded float32 has another shape");
    return {{"detail", c10::str(x.sizes().slice(1), " to ", z.sizes().slice(1))}};
  }
  if (check == "repeatable") return same(encode(0, 200).equal(z), "the same seed encodes otherwise"), Json{{"detail", "to the last bit"}};
  if (check == "chunks") {  // matrix products of other sizes may round otherwise
    const double rounding = z.scalar_type() == at::kDouble ? 1e-9 : 1e-4;
    const auto off = [](const at::Tensor& parts, const at::Tensor& whole) {
      return (parts - whole).abs().max().item<double>() / (1 + whole.abs().max().item<double>());
    };
    same(off(at::cat({encode(0, 7), encode(7, 193)}), z) <= rounding, "rows see each other, or draws are not the noise's");
    const at::Tensor decoded = at::cat({one.decode(z.narrow(0, 0, 7)), one.decode(z.narrow(0, 7, 193))}).to(at::kCPU, at::kDouble);
    same(off(decoded, back) <= rounding, "rows see each other in decode");
    return {{"detail", "7 and 193 of 200"}};
  }
  if (check == "affine") {
    const auto map = one.affine();
    same(map.has_value() == has(schema::from_json(request["schema"]).gives, "affine-space"),
         "affine() and p.gives(\"affine-space\") must say the same");
    if (!map) throw Skipped("it states none");
    const double off = (z - (x * map->scale + map->shift)).abs().max().item<double>(), undone = (back - x).abs().max().item<double>();
    same(off <= 1e-9 * (1 + z.abs().max().item<double>()) && undone <= 1e-9 * (1 + x.abs().max().item<double>()),
         "encode is another map than affine() states, or decode does not undo it");
    return {{"detail", fmt::format("{:.4g} x + {:.4g}", map->scale, map->shift)}};
  }
  const double lost = (back - x).square().mean().item<double>() / (x - x.mean(0)).square().mean().item<double>();
  same(lost < 1, fmt::format("decode(encode(x)) is further from x than the data's mean: {:.3g} of its squared error", lost).c_str());
  return {{"detail", fmt::format("loses {:.2g} of the variance", lost)}};
}

Json metric(const std::string& check, const Json& request) {
  const auto schema = schema::from_json(request["schema"]);
  const bool of_model = has(schema.gives, "on-model"), of_paths = has(schema.needs, "trace");
  Json instead = Json::object();
  if (has(schema.needs, "items")) instead = {{"dataset", own(request, "dataset", "digits")}, {"network", own(request, "network", "mlp")}};
  if (has(schema.needs, "levels")) instead["scheduler"] = own(request, "scheduler", "ddpm-linear", {{"T", 20}, {"beta_end", 0.5}});
  const Around a(request, instead);
  const auto one = a.make<Metric>(request["component"]);
  Noise noise(3, "samples"), starts(3, "starts");
  Condition condition;
  std::vector<std::int64_t> items(500, 0);
  if (a.setup.data->size() > 0) std::iota(items.begin(), items.end(), 0);
  const at::Tensor x = a.setup.data->get(items, noise, condition).to(at::kDouble), start = starts.normal(x.narrow(0, 0, 20));
  const auto measure = [&](const at::Tensor& x) {
    Model model = a.setup.handle(a.spec, a.stop);
    if (of_model) return evaluate(*one, *a.setup.data, *a.setup.space, {{}, nullptr, &model, nullptr, 500}, 5);
    const Scheduler& q = *a.setup.scheduler;
    const Paths paths{at::tensor({q.t_max(), q.t_min()}, at::kDouble).unsqueeze(1).expand({2, 20}), at::stack({start, x.narrow(0, 0, 20)})};
    return evaluate(*one, *a.setup.data, *a.setup.space, {x, nullptr, nullptr, of_paths ? &paths : nullptr, 500}, 5);
  };
  const auto values = [](const std::vector<Measurement>& all) {
    std::vector<double> out;
    for (const auto& m : all)
      m.array ? void(out.insert(out.end(), m.array->values.begin(), m.array->values.end())) : out.push_back(m.value);
    return out;
  };
  const host::KeepGenerator keep;
  const auto first = measure(x);
  if (check == "generators") return same(!keep.changed(), drew), Json{{"detail", "untouched"}};
  if (check == "finite") {
    for (const double v : values(first)) same(std::isfinite(v), "a value is not finite");
    for (const auto& m : first)
      same(!m.long_name.empty() && !m.unit.empty() && (m.goal == "min" || m.goal == "max" || m.goal == "none"),
           "a measurement has no long name or no unit, or its goal is not min, max or none");
    return {{"detail", fmt::format("{} measurements", first.size())}};
  }
  if (check == "repeatable")
    return same(values(measure(x)) == values(first), "the same samples gave another value"), Json{{"detail", "to the last bit"}};
  if (of_model) throw Skipped("it measures the model");
  if (check == "order") {
    if (of_paths) throw Skipped("its paths have an order");
    const at::Tensor shuffled = x.index_select(0, (at::arange(500, at::kLong) * 7919).remainder(500));  // reversed, neighbours stay so
    const auto before = values(first);
    for (const auto& turned : {values(measure(x.flip(0))), values(measure(shuffled))})
      for (std::size_t i = 0; i < before.size(); ++i)
        same(std::abs(turned[i] - before[i]) <= 1e-9 * std::max(1.0, std::abs(before[i])),
             "the samples in another order gave another value");
    return {{"detail", "reversed and shuffled"}};
  }
  const auto far = measure(3 * x + 5);
  std::string worse;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first[i].goal == "none" || first[i].array) continue;
    same(first[i].goal == "min" ? far[i].value > first[i].value : far[i].value < first[i].value,
         "samples far from the data are not worse, by its goal");
    worse = "far samples are worse";
  }
  if (worse.empty()) throw Skipped("none of its values has a goal");
  return {{"detail", worse}};
}

}  // namespace

Json check_network(const std::string& check, const Json& request) {
  Around a(request);
  const auto schema = schema::from_json(request["schema"]);
  if (has(schema.needs, "images")) a.spec["dataset"] = own(request, "dataset", "disks");
  if (has(schema.needs, "gaussian-law")) a.spec["dataset"] = own(request, "dataset", "gaussian");
  const auto says = [classifies = has(schema.gives, "classifies")](Model& model, const at::Tensor& x) {
    return classifies ? model.classify(x, 0.5).logits : model(x, 0.5).as(model.stated());
  };
  a.spec["network"] = request["component"];
  host::check_all(request["component"]);
  const auto answer = [&](const char* dtype, std::int64_t rows, std::uint64_t seed, const at::Tensor& given = {}, int calls = 1) {
    a.spec["run"]["precision"] = dtype;
    const host::Setup setup(a.spec, at::kCPU, true);
    if (!setup.network->parameters().empty()) const Arena arena(*setup.network, seed);
    std::vector<std::int64_t> shape{rows};
    for (const auto n : setup.data->shape()) shape.push_back(n);
    Noise noise(1, "x");
    const at::Tensor x = given.defined() ? given.to(setup.tensors) : noise.normal(at::empty(shape, setup.tensors));
    Model model = setup.handle(a.spec, a.stop);
    for (; calls > 1; --calls) says(model, x);
    return std::pair(x, says(model, x));
  };
  const host::KeepGenerator keep;
  const auto [x, first] = answer("float64", 8, 3);
  if (check == "generators") return same(!keep.changed(), drew), Json{{"detail", "untouched"}};
  if (check == "shape") {
    answer("float32", 8, 3);  // the model throws where shape or dtype is another
    return {{"detail", c10::str(x.sizes())}};
  }
  if (check == "repeatable")
    return same(answer("float64", 8, 3).second.equal(first) && answer("float64", 8, 3, {}, 2).second.equal(first),
                "the same input and seed gave another answer: state between calls, or a generator of its own"),
           Json{{"detail", "to the last bit"}};
  if (check == "chunks") {
    double off = 0;
    for (const std::int64_t row : {0, 5})  // the first has none before it
      off = std::max(off, (answer("float64", 1, 3, x.narrow(0, row, 1)).second - first.narrow(0, row, 1)).abs().max().item<double>());
    same(off <= 1e-9 * std::max(1.0, first.abs().max().item<double>()), "a row alone has another answer: rows see each other");
    return {{"detail", fmt::format("a row alone is off by {:.1g}", off)}};
  }
  const host::Setup setup(a.spec, at::kCPU, true);
  if (setup.network->parameters().empty()) throw Skipped("it has no parameters");
  Arena arena(*setup.network, 3);
  Noise noise(5, "weights");
  const auto draw = [&] { return noise.normal(arena.values.unsqueeze(0)).squeeze(0); };
  arena.values.add_(0.05 * draw());  // a layer that begins at 0 would hide those before it
  const c10::AutoGradMode grad(true);
  Model model = setup.handle(a.spec, a.stop);
  const auto loss = [&] { return (says(model, x) - 1).square().sum(); };
  loss().backward();
  for (const auto& [name, g] : arena.views(arena.gradients)) {
    if (!g.isfinite().all().item<bool>()) throw Failed("the gradient of " + name + " is not finite");
    if (!g.any().item<bool>()) throw Failed("the gradient of " + name + " is 0: it is detached, or not used");
  }
  const c10::AutoGradMode off(false);
  const at::Tensor direction = draw(), before = arena.values.clone();  // along the gradient itself a part that is missing would not show
  const double slope = at::dot(arena.gradients, direction).item<double>(), size = arena.gradients.norm().item<double>(), h = 1e-6;
  arena.values.copy_(before + h * direction);
  const double up = loss().item<double>();
  arena.values.copy_(before - h * direction);
  const double down = loss().item<double>(), measured = (up - down) / (2 * h);
  if (!(std::abs(measured - slope) <= 1e-4 * size))
    throw Failed(
        fmt::format("in a direction drawn the loss rises by {:.6g} by its gradient, and by {:.6g} by finite differences", slope, measured));
  return {{"detail", fmt::format("{} parameters", arena.count())}};
}

Json check_scheduler(const std::string& check, const Json& request) {
  auto q = make_as<Scheduler>(request["component"]);
  host::check_all(request["component"]);
  host::prepare(q, request["component"], {.options = at::kDouble, .shape = {2}});
  const double low = q->t_min(), high = q->t_max();
  if (low == high) throw Skipped("it has one level");
  const auto at = [&](double share) { return low + (high - low) * share; };
  if (check == "marginals") {
    double last = 1e300;
    for (int i = 0; i <= 200; ++i) {
      const double t = at(i / 200.0), alpha = q->alpha(t).one(), sigma = q->sigma(t).one();
      if (!(std::isfinite(alpha) && std::isfinite(sigma) && alpha >= 0 && sigma >= 0))
        throw Failed(fmt::format("at t = {}: alpha {}, sigma {}", t, alpha, sigma));
      const double snr = sigma > 0 ? alpha / sigma : 1e300;
      if (snr > last) throw Failed(fmt::format("alpha/sigma rises at t = {}: it must fall from clean to noisy", t));
      last = snr;
    }
    const double alpha = q->alpha(high).one(), sigma = q->sigma(high).one(), prior = q->prior_std();
    if (!(prior > 0.9 * sigma && prior < 1.1 * std::hypot(alpha, sigma)))
      throw Failed(fmt::format("its prior has the standard deviation {}, but x at t = {} has alpha {:.3g} and sigma {:.3g}", prior, high,
                               alpha, sigma));
    same(std::isfinite(q->conditioning(high)) && std::isfinite(q->conditioning(low)), "its conditioning is not finite");
    return {{"detail", fmt::format("t from {:.3g} to {:.3g}", low, high)}};
  }
  double worst = 0;
  if (check == "slopes") {
    for (const double share : {0.0313, 0.2341, 0.5172, 0.7717, 0.9431}) {
      const double t = at(share), h = 1e-6 * t;
      for (const bool of_sigma : {false, true}) {
        const auto f = [&](double u) { return of_sigma ? q->sigma(u).one() : q->alpha(u).one(); };
        const double stated = of_sigma ? q->sigma_slope(t).one() : q->alpha_slope(t).one(), measured = (f(t + h) - f(t - h)) / (2 * h);
        worst = std::max(worst, std::abs(stated - measured) / std::max({std::abs(measured), f(t) / high * 1e-2, 1e-9}));
      }
    }
    if (worst > 1e-4) throw Failed(fmt::format("a derivative is off by {:.2g} of it from finite differences", worst));
    return {{"detail", fmt::format("off by {:.1g}", worst)}};
  }
  if (check == "kernels") {
    for (const auto& [r, s, t] : {std::tuple{0.0, 0.3, 0.8}, {0.1, 0.5, 0.95}, {0.4, 0.41, 0.42}}) {
      const Kernel a = q->kernel(at(r), at(s)), b = q->kernel(at(s), at(t)), c = q->kernel(at(r), at(t));
      for (const double variance : {a.sigma2.one(), b.sigma2.one(), c.sigma2.one()})
        if (!(variance >= 0))
          throw Failed(fmt::format("a kernel between t = {:.3g} and {:.3g} has the variance {:.3g}", at(r), at(t), variance));
      worst = std::max({worst, std::abs((a.alpha * b.alpha / c.alpha).one() - 1),
                        std::abs((square(b.alpha) * a.sigma2 + b.sigma2 - c.sigma2).one()) / c.sigma2.one()});
    }
    if (!(worst < 1e-9)) throw Failed(fmt::format("two kernels in a row are off by {:.2g} from one", worst));
    return {{"detail", fmt::format("off by {:.1g}", worst)}};
  }
  for (const double share : {0.02, 0.3, 0.7, 0.98}) {
    const double lambda = q->lambda(at(share)).one();
    if (!std::isfinite(lambda)) continue;
    worst = std::max(worst, std::abs(q->lambda(q->t_of(lambda)).one() - lambda));
  }
  if (!(worst < 1e-6)) throw Failed(fmt::format("log(alpha/sigma) at t_of(l) is off by {:.2g} from l", worst));
  return {{"detail", fmt::format("off by {:.1g}", worst)}};
}

Json check_other(const std::string& check, const Json& request) {
  const std::string kind = request["component"]["kind"];
  if (kind == "objective") return objective(check, request);
  if (kind == "guide") return guide(check, request);
  if (kind == "initial") return initial(check, request);
  if (kind == "dataset") return dataset(check, request);
  if (kind == "space") return space(check, request);
  return metric(check, request);
}

}  // namespace scorelab::certify
