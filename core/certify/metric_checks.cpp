#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "certify/around.h"
#include "evaluate/evaluation.h"
#include "setup/generator.h"

namespace scorelab::certify {
namespace {

std::vector<double> values(const std::vector<Measurement>& all) {
  std::vector<double> out;
  for (const auto& m : all)
    if (m.array)
      out.insert(out.end(), m.array->values.begin(), m.array->values.end());
    else
      out.push_back(m.value);
  return out;
}

/// The samples reversed, and shuffled so that neighbours do not stay so.
template <class Measure>
Json check_order(const Measure& measure, const at::Tensor& x, const std::vector<double>& before) {
  const at::Tensor shuffled = x.index_select(0, (at::arange(500, at::kLong) * 7919).remainder(500));
  for (const auto& turned : {values(measure(x.flip(0))), values(measure(shuffled))})
    for (std::size_t i = 0; i < before.size(); ++i)
      same(std::abs(turned[i] - before[i]) <= 1e-9 * std::max(1.0, std::abs(before[i])),
           "the samples in another order gave another value");
  return {{"detail", "reversed and shuffled"}};
}

Json check_goal(const std::vector<Measurement>& near, const std::vector<Measurement>& far) {
  bool any = false;
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (near[i].goal == "none" || near[i].array) continue;
    same(near[i].goal == "min" ? far[i].value > near[i].value : far[i].value < near[i].value,
         "samples far from the data are not worse, by its goal");
    any = true;
  }
  if (!any) throw Skipped("none of its values has a goal");
  return {{"detail", "far samples are worse"}};
}

}  // namespace

Json check_metric(const std::string& check, const Json& request) {
  const auto schema = schema::from_json(request["schema"]);
  const bool of_model = has(schema.gives, "on-model"), of_paths = has(schema.needs, "trace");
  Json instead = Json::object();
  if (has(schema.needs, "items"))
    instead = {{"dataset", own(request, "dataset", "digits")},
               {"network", own(request, "network", "mlp")}};
  if (has(schema.needs, "levels"))
    instead["scheduler"] = own(request, "scheduler", "ddpm-linear", {{"T", 20}, {"beta_end", 0.5}});
  const Around a(request, instead);
  const auto one = a.make<Metric>(request["component"]);
  Noise noise(3, "samples"), starts(3, "starts");
  Condition condition;
  std::vector<std::int64_t> items(500, 0);
  if (a.setup.data->size() > 0) std::iota(items.begin(), items.end(), 0);
  const at::Tensor x = a.setup.data->get(items, noise, condition).to(at::kDouble),
                   start = starts.normal(x.narrow(0, 0, 20));
  const auto measure = [&](const at::Tensor& x) {
    Model model = a.setup.handle(a.spec, a.stop);
    if (of_model)
      return evaluate(*one, *a.setup.data, *a.setup.space, {{}, nullptr, &model, nullptr, 500}, 5);
    const Scheduler& q = *a.setup.scheduler;
    const Paths paths{at::tensor({q.t_max(), q.t_min()}, at::kDouble).unsqueeze(1).expand({2, 20}),
                      at::stack({start, x.narrow(0, 0, 20)})};
    return evaluate(*one, *a.setup.data, *a.setup.space,
                    {x, nullptr, nullptr, of_paths ? &paths : nullptr, 500}, 5);
  };
  const host::KeepGenerator keep;
  const auto first = measure(x);
  if (check == "generators") {
    same(!keep.changed(), drew);
    return Json{{"detail", "untouched"}};
  }
  if (check == "finite") {
    for (const double v : values(first)) same(std::isfinite(v), "a value is not finite");
    for (const auto& m : first)
      same(!m.long_name.empty() && !m.unit.empty() &&
               (m.goal == "min" || m.goal == "max" || m.goal == "none"),
           "a measurement has no long name or no unit, or its goal is not min, max or none");
    return {{"detail", fmt::format("{} measurements", first.size())}};
  }
  if (check == "repeatable") {
    same(values(measure(x)) == values(first), "the same samples gave another value");
    return Json{{"detail", "to the last bit"}};
  }
  if (of_model) throw Skipped("it measures the model");
  if (check == "order") {
    if (of_paths) throw Skipped("its paths have an order");
    return check_order(measure, x, values(first));
  }
  return check_goal(first, measure(3 * x + 5));
}

}  // namespace scorelab::certify
