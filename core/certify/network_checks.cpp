#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "certify/around.h"
#include "evaluate/evaluation.h"
#include "setup/generator.h"
#include "train/trainer.h"

namespace scorelab::certify {
namespace {

/// A direction among the parameters that are trained.
at::Tensor draw(const Arena& arena, Noise& noise) {
  at::Tensor out = at::zeros_like(arena.values);
  arena.trained(out).copy_(noise.normal(arena.trained(out).unsqueeze(0)).squeeze(0));
  return out;
}

/// Weights near the first ones: a layer that begins at 0 would hide those before it.
Arena spread(Network& network, std::uint64_t seed) {
  Arena arena(network, seed);
  Noise noise(5, "weights");
  arena.values.add_(0.05 * draw(arena, noise));
  return arena;
}

/// The gradient of a loss of the answer at x, in every parameter, against finite differences.
Json check_gradients(Around& a, const std::function<at::Tensor(Model&, const at::Tensor&)>& says,
                     const at::Tensor& x) {
  const host::Setup setup(a.spec, at::kCPU, true);
  if (setup.network->parameters().empty()) throw Skipped("it has no parameters");
  Arena arena = spread(*setup.network, 3);
  const c10::AutoGradMode grad(true);
  Model model = setup.handle(a.spec, a.stop);
  const auto loss = [&] { return (says(model, x) - 1).square().sum(); };
  loss().backward();
  const NamedTensors gradients = arena.views(arena.gradients);
  std::string fixed;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const auto& [name, g] = gradients[i];
    if (arena.is_fixed(i)) {
      fixed += (fixed.empty() ? "; fixed: " : ", ") + name;
      continue;
    }
    if (!g.isfinite().all().item<bool>())
      throw Failed("the gradient of " + name + " is not finite");
    if (!g.any().item<bool>())
      throw Failed("the gradient of " + name + " is 0: it is detached, or not used");
  }
  const c10::AutoGradMode off(false);
  // along the gradient itself a part that is missing would not show
  Noise noise(6, "direction");
  const at::Tensor direction = draw(arena, noise), before = arena.values.clone();
  // as long a step however many parameters there are: many more kinks lie on a longer one
  const double slope = at::dot(arena.gradients, direction).item<double>(),
               size = arena.gradients.norm().item<double>(),
               h = 1e-6 / direction.norm().item<double>();
  arena.values.copy_(before + h * direction);
  const double up = loss().item<double>();
  arena.values.copy_(before - h * direction);
  const double down = loss().item<double>(), measured = (up - down) / (2 * h);
  if (!(std::abs(measured - slope) <= 1e-4 * size))
    throw Failed(
        fmt::format("in a direction drawn the loss rises by {:.6g} by its gradient, and by {:.6g} "
                    "by finite differences",
                    slope, measured));
  return {{"detail", fmt::format("{} parameters{}", arena.count(), fixed)}};
}

}  // namespace

Json check_network(const std::string& check, const Json& request) {
  Around a(request);
  const auto schema = schema::from_json(request["schema"]);
  if (has(schema.needs, "images"))
    a.spec["dataset"] =
        own(request, "dataset", "disks", {{"labels", has(schema.gives, "classifies")}});
  if (has(schema.needs, "gaussian-law")) a.spec["dataset"] = own(request, "dataset", "gaussian");
  const auto says = [classifies = has(schema.gives, "classifies")](Model& model,
                                                                   const at::Tensor& x) {
    return classifies ? model.classify(x, 0.5).logits : model(x, 0.5).as(model.stated());
  };
  a.spec["network"] = request["component"];
  host::check_all(request["component"]);
  const auto answer = [&](const char* dtype, std::int64_t rows, std::uint64_t seed,
                          const at::Tensor& given = {}, int calls = 1) {
    a.spec["run"]["precision"] = dtype;
    const host::Setup setup(a.spec, at::kCPU, true);
    if (!setup.network->parameters().empty()) spread(*setup.network, seed);
    std::vector<std::int64_t> shape{rows};
    for (const auto n : setup.data->shape()) shape.push_back(n);
    Noise noise(1, "x");
    const at::Tensor x =
        given.defined() ? given.to(setup.tensors) : noise.normal(at::empty(shape, setup.tensors));
    Model model = setup.handle(a.spec, a.stop);
    for (; calls > 1; --calls) says(model, x);
    return std::pair(x, says(model, x));
  };
  const host::KeepGenerator keep;
  const auto [x, first] = answer("float64", 8, 3);
  if (check == "generators") {
    same(!keep.changed(), drew);
    return Json{{"detail", "untouched"}};
  }
  if (check == "shape") {
    answer("float32", 8, 3);  // the model throws where shape or dtype is another
    return {{"detail", c10::str(x.sizes())}};
  }
  if (check == "repeatable") {
    same(answer("float64", 8, 3).second.equal(first) &&
             answer("float64", 8, 3, {}, 2).second.equal(first),
         "the same input and seed gave another answer: state between calls, or a generator "
         "of its own");
    return Json{{"detail", "to the last bit"}};
  }
  if (check == "chunks") {
    double off = 0;
    for (const std::int64_t row : {0, 5})  // the first has none before it
      off = std::max(off,
                     (answer("float64", 1, 3, x.narrow(0, row, 1)).second - first.narrow(0, row, 1))
                         .abs()
                         .max()
                         .item<double>());
    same(off <= 1e-9 * std::max(1.0, first.abs().max().item<double>()),
         "a row alone has another answer: rows see each other");
    return {{"detail", fmt::format("a row alone is off by {:.1g}", off)}};
  }
  return check_gradients(a, says, x);
}

}  // namespace scorelab::certify
