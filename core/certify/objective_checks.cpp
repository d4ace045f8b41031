#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "certify/around.h"
#include "setup/generator.h"
#include "train/trainer.h"

namespace scorelab::certify {

using host::make_as;

namespace {

/// `loss(from, rows, of)` is of these samples; `of`: that of one of the objective's own networks.
template <class Loss>
Json check_loss(Objective& one, const Loss& loss, bool of_batches) {
  for (const OwnNetwork* network : one.networks())
    if (*network && !loss(0, 16, network).isfinite().all().template item<bool>())
      throw Failed(fmt::format("the loss of its network `{}` is not finite", network->name()));
  const at::Tensor first = loss(0, 16, nullptr);
  if (of_batches && first.dim() == 0) {
    same(first.isfinite().item<bool>(), "its loss is not finite");
    return {{"detail", fmt::format("{:.3g}, of the batch", first.item<double>())}};
  }
  if (first.sizes() != at::IntArrayRef({16}))
    throw Failed("its loss of 16 samples has shape " + c10::str(first.sizes()) +
                 "; expected [16], or [] with `gives(\"batch-loss\")`");
  same(first.isfinite().all().item<bool>(), "its loss is not finite");
  const at::Tensor parts = at::cat({loss(0, 5, nullptr), loss(5, 11, nullptr)});
  same((parts - first).abs().max().item<double>() <=
           1e-9 * std::max(1.0, first.abs().max().item<double>()),
       "a sample's loss depends on the others in its batch: it must be that of each sample, and "
       "the host takes the mean");
  return {{"detail", fmt::format("mean {:.3g}", first.mean().item<double>())}};
}

}  // namespace

Json check_objective(const std::string& check, const Json& request) {
  Around a(request);
  const bool of_classes = has(schema::from_json(request["schema"]).needs, "classifies");
  a.spec["network"] =
      own(request, "network", of_classes ? "mlp-classifier" : "mlp", {{"width", 16}, {"depth", 1}});
  const host::Setup setup(a.spec, at::kCPU, true);
  auto one = make_as<Objective>(request["component"]);
  host::check_all(request["component"]);
  host::prepare(one, request["component"], setup.setting());
  Arena arena(*setup.network, 3);  // draws the network's first weights
  const bool of_batches = has(schema::from_json(request["schema"]).gives, "batch-loss");
  std::vector<std::unique_ptr<Arena>> of_own;
  for (const OwnNetwork* network : one->networks())
    if (*network) of_own.push_back(std::make_unique<Arena>(*network->network(), 4));
  // The moving average that it may learn from: another network of the same kind, with other
  // weights.
  const host::Setup other(a.spec, at::kCPU, true);
  if (!other.network->parameters().empty()) {
    of_own.push_back(std::make_unique<Arena>(*other.network, 5));
    of_own.back()->require_gradients(false);
  }
  const c10::AutoGradMode grad(true);
  const auto loss = [&](std::int64_t from, std::int64_t rows, const OwnNetwork* of = nullptr) {
    Noise noise(1, "train", from), own_noise(1, "objective", from);
    TrainBatch b;
    b.x0 = noise.normal(at::empty({rows, 2}, at::kDouble));
    b.eps = noise.normal(b.x0);
    const at::Tensor u = noise.uniform(at::empty({rows, 1}, at::kDouble));
    b.t =
        one->times
            .draw(*setup.scheduler, {u.const_data_ptr<double>(), u.const_data_ptr<double>() + rows})
            .t;
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
  if (check == "generators") {
    same(!keep.changed(), drew);
    return Json{{"detail", "untouched"}};
  }
  if (check == "loss") return check_loss(*one, loss, of_batches);
  if (check == "repeatable") {
    same(loss(0, 16).equal(first), "the same draws gave another loss");
    return Json{{"detail", "to the last bit"}};
  }
  first.mean().backward();
  const double norm = arena.gradients.norm().item<double>();
  same(std::isfinite(norm) && norm > 0,
       "its gradient is 0 or not finite: the network would not learn");
  return {{"detail", fmt::format("norm of the gradient {:.3g}", norm)}};
}

}  // namespace scorelab::certify
