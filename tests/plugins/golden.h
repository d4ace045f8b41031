#pragma once
#include <gtest/gtest.h>

#include <algorithm>

#include "testing.h"

/// Networks compared with numbers that the papers' own code gave: weights and inputs follow a rule,
/// so that no file is needed.
namespace scorelab::test {

/// A network that is checked and prepared for samples of this shape.
inline std::shared_ptr<Network> prepared(const std::string& name, const Json& params,
                                         std::vector<std::int64_t> shape, std::int64_t parts = 1,
                                         at::TensorOptions options = at::kDouble,
                                         const DataSet* data = nullptr,
                                         const Scheduler* scheduler = nullptr) {
  const Json config = plugin("network", name, params);
  auto network = host::make_as<Network>(config);
  host::check_all(config);
  host::prepare(network, config,
                {.scheduler = scheduler,
                 .options = options,
                 .shape = std::move(shape),
                 .data = data,
                 .parts = parts});
  return network;
}

/// How many numbers it trains; on the meta device, where they take no memory.
inline std::int64_t parameters_of(const std::string& name, const Json& params,
                                  std::vector<std::int64_t> shape, std::int64_t parts = 1,
                                  const DataSet* data = nullptr,
                                  const Scheduler* scheduler = nullptr) {
  std::int64_t out = 0;
  const auto network = prepared(name, params, std::move(shape), parts,
                                at::TensorOptions(at::kMeta).dtype(at::kFloat), data, scheduler);
  for (const auto& [key, p] : network->parameters())
    if (p.requires_grad()) out += p.numel();
  return out;
}

inline at::Tensor wave(std::int64_t n) { return at::cos(0.37 * at::arange(n, at::kDouble) + 0.1); }

/// Parameter i by name, element j: 0.2 sin(12.9898 (j+1) + 78.233 (i+1)). Those that are fixed do
/// not count. Returns how many tensors and numbers there are.
inline std::pair<std::size_t, std::int64_t> set_by_rule(Network& network) {
  NamedTensors parameters = network.parameters();
  std::erase_if(parameters, [](const auto& p) { return !p.second.requires_grad(); });
  std::sort(parameters.begin(), parameters.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::int64_t count = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor& p = parameters[i].second;
    const c10::AutoGradMode no_grad(false);
    const at::Tensor j = at::arange(1, p.numel() + 1, at::kDouble);
    p.copy_((0.2 * at::sin(12.9898 * j + 78.233 * static_cast<double>(i + 1))).view(p.sizes()));
    count += p.numel();
  }
  return {parameters.size(), count};
}

/// What a preset of a network sets.
inline Json preset_of(const std::string& network, const std::string& preset) {
  Params declared;
  const auto bare = host::make_as<Network>(plugin("network", network));
  bare->params(declared);
  for (const auto& p : schema::of(declared).presets)
    if (p.name == preset) return p.values;
  ADD_FAILURE() << network << " has no preset " << preset;
  return Json::object();
}

/// Sums of an answer y and of the gradient g of (y, wave) by the input.
struct Golden {
  double sum_y, sum_y2, first_y, last_y, sum_g, sum_g2;
};

/// `answer` of two images, [2, channels, 8, 8], by the rule.
template <class F>
void expect_golden(const F& answer, std::int64_t channels, const Golden& golden) {
  const at::Tensor x = wave(2 * channels * 64).view({2, channels, 8, 8}).requires_grad_(true);
  const at::Tensor y = answer(x);
  const auto near = [](double got, double expected) {
    EXPECT_NEAR(got, expected, 1e-11 * std::max(1.0, std::abs(expected)));
  };
  near(y.sum().template item<double>(), golden.sum_y);
  near(y.square().sum().template item<double>(), golden.sum_y2);
  near(y.flatten()[0].template item<double>(), golden.first_y);
  near(y.flatten()[-1].template item<double>(), golden.last_y);
  (y * wave(y.numel()).view(y.sizes())).sum().backward();
  near(x.grad().sum().template item<double>(), golden.sum_g);
  near(x.grad().square().sum().template item<double>(), golden.sum_g2);
}

}  // namespace scorelab::test
