#pragma once
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <scorelab/law.h>
#include <scorelab/sampler.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/evaluation.h"
#include "model/run_state.h"
#include "model/space.h"
#include "setup/component.h"

namespace scorelab::test {

using host::Json;

/// A resolved config, as the planner hands it to the host.
inline Json plugin(const std::string& kind, const std::string& name, Json params = Json::object()) {
  Json out;
  out["plugin"] = name;
  out["kind"] = kind;
  out["file"] = SCORELAB_TEST_PLUGINS "/" + name + ".so";
  out["params"] = std::move(params);
  return out;
}

inline at::Tensor row(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble).unsqueeze(0);
}

/// Independent coordinates with these means and standard deviations.
inline Law gaussian(const std::vector<double>& mean, const std::vector<double>& std) {
  return {at::ones({1}, at::kDouble), row(mean), row(std).square(), {}};
}

/// Three unequal modes in the plane, each as wide in all directions.
inline Law three_modes() {
  return {at::tensor({0.5, 0.2, 0.3}, at::kDouble),
          at::tensor({1.0, 0.5, -1.2, 0.3, 0.2, -1.0}, at::kDouble).view({3, 2}),
          at::tensor({0.16, 0.16, 0.25, 0.25, 0.09, 0.09}, at::kDouble).view({3, 2}),
          {}};
}

/// Two modes whose axes are turned.
inline Law turned_modes() {
  Law law{at::tensor({0.6, 0.4}, at::kDouble),
          at::tensor({1.0, 0.5, -1.2, 0.3}, at::kDouble).view({2, 2}),
          at::tensor({0.3, 0.05, 0.2, 0.1}, at::kDouble).view({2, 2}),
          at::empty({2, 2, 2}, at::kDouble)};
  const double angles[] = {0.4, 1.3};
  for (int k = 0; k < 2; ++k) {
    const double c = std::cos(angles[k]), s = std::sin(angles[k]);
    law.bases[k].copy_(at::tensor({c, -s, s, c}, at::kDouble).view({2, 2}));
  }
  return law;
}

/// A process and a network, and what a sampling call needs around them.
struct World {
  std::shared_ptr<Scheduler> q;
  std::shared_ptr<Model::Parts> parts = std::make_shared<Model::Parts>();
  std::shared_ptr<Model::Context> context = std::make_shared<Model::Context>();
  at::TensorOptions options = at::kDouble;
  std::vector<std::int64_t> shape;
  std::uint64_t seed = 11;
  std::int64_t group = 1;
  bool paths = false;
  std::shared_ptr<const Law> data;  ///< what the network is exact for
  std::function<void(const Times&, const at::Tensor&)> observe;

  /// Puts a guide behind those that are there.
  void add_guide(const std::string& name, Json params = Json::object()) const {
    const Json config = plugin("guide", name, std::move(params));
    host::check_all(config);
    context->guides.push_back({host::make_as<Guide>(config)});
    host::prepare(context->guides.back().guide, config, setting());
  }
  Setting setting(const Law* law = nullptr) const {
    return {.scheduler = q.get(),
            .options = options,
            .shape = shape,
            .law = law,
            .space = parts->space.get()};
  }
  Model model() const { return Model(parts, context); }
  /// The noise of the sampling call whose first sample is `first`.
  Noise noise(std::int64_t first = 0) const { return Noise(seed, "sampling", first); }
  Run run(std::int64_t first = 0) const {
    auto of_run = std::make_shared<Run::State>();
    of_run->group = group;
    of_run->paths = paths;
    of_run->observe = observe;
    return Run(model(), *q, noise(first), of_run);
  }
  at::Tensor prior(std::int64_t rows, std::int64_t first = 0) const {
    std::vector<std::int64_t> sizes{rows};
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    return Noise(seed, "prior", first).normal(at::empty(sizes, options)) * q->prior_std();
  }
  at::Tensor sample(const Json& config, const at::Tensor& x, std::int64_t first = 0) const {
    const c10::NoGradGuard guard;
    host::check_all(config);
    const auto sampler = host::make_sampler(config);
    host::prepare(sampler, config, setting(data.get()));
    context->counts.reset(x.size(0));
    Run one = run(first);
    return sampler->sample(one, x);
  }
  const std::vector<std::int64_t>& nfe() const { return context->counts.evaluations; }
};

inline World world(const Json& scheduler, std::shared_ptr<Network> network,
                   std::vector<std::int64_t> shape, at::ScalarType dtype = at::kDouble,
                   OutputOptions output = {}) {
  World out;
  out.options = dtype;
  out.shape = std::move(shape);
  out.q = host::make_as<Scheduler>(scheduler);
  host::check_all(scheduler);
  host::prepare(out.q, scheduler, out.setting());
  out.parts->scheduler = out.q;
  out.parts->network = std::move(network);
  out.parts->output = Output(std::move(output));
  out.parts->space = std::make_shared<DataRange>(Affine{}, out.shape);
  return out;
}

/// The network that states a law's exact score.
inline World exact(const Json& scheduler, const Law& law, std::vector<std::int64_t> shape = {},
                   at::ScalarType dtype = at::kDouble, Json params = Json::object()) {
  const Json config =
      plugin("network", law.weights.size(0) == 1 ? "exact-gaussian" : "exact-gaussian-mixture",
             std::move(params));
  const auto network = host::make_as<Network>(config);
  if (shape.empty()) shape = {law.means.size(1)};
  World out = world(scheduler, network, std::move(shape), dtype);
  host::prepare(network, config, out.setting(&law));
  out.data = std::make_shared<const Law>(law);
  return out;
}

/// x' = A x + B + C z.
struct Map {
  double A, B, C;
};

/// A step's map on one dimension, measured on three rows.
inline Map measured(const World& w, const Step& step, double t, double s) {
  const c10::NoGradGuard guard;
  const at::Tensor x = at::tensor({0.0, 1.0, 0.0}, at::kDouble).view({3, 1});
  Run run = w.run();
  const at::Tensor y = step.step(run, x, t, s), z = w.noise().normal(x);
  const auto to = y.accessor<double, 2>(), by = z.accessor<double, 2>();
  const double C = (to[2][0] - to[0][0]) / (by[2][0] - by[0][0]), B = to[0][0] - C * by[0][0];
  return {to[1][0] - B - C * by[1][0], B, C};
}

/// The largest difference, relative to what is expected where that is large.
inline void expect_close(const at::Tensor& got, const at::Tensor& expected,
                         double tolerance = 1e-10) {
  ASSERT_EQ(got.sizes(), expected.sizes());
  const double off = ((got - expected).abs() / expected.abs().clamp_min(1)).max().item<double>();
  EXPECT_TRUE(off <= tolerance) << "off by " << off;
}

/// Equal to the last bit; NaN is equal to nothing.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.dtype() == b.dtype() && at::equal(a, b);
}

}  // namespace scorelab::test
