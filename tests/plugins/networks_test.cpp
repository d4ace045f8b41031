#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "testing.h"

namespace scorelab::test {
namespace {

struct Case {
  Json config;
  std::vector<std::int64_t> shape;
};

std::vector<Case> trained() {
  const auto unet = [](Json extra) {
    Json params{{"channels", 4}, {"groups", 2}, {"multipliers", {1, 2}}};
    params.update(extra);
    return plugin("network", "ddpm-unet", params);
  };
  return {{plugin("network", "mlp", {{"width", 8}, {"depth", 2}, {"time_features", 6}}), {3}},
          {plugin("network", "mlp",
                  {{"width", 8}, {"depth", 2}, {"time_features", 6}, {"activation", "tanh"}}),
           {1, 2, 2}},
          {unet(Json::object()), {1, 8, 8}},
          {unet({{"multipliers", {1, 2, 2}}, {"blocks", 2}, {"attention", {2, 4}}}), {3, 8, 8}}};
}

/// Prepared, with PyTorch's first weights of this seed, so that no last layer is 0.
std::shared_ptr<Network> made(const Case& c, at::ScalarType dtype = at::kDouble,
                              std::uint64_t seed = 1) {
  const auto network = host::make_as<Network>(c.config);
  const World w = world(plugin("scheduler", "vp"), network, c.shape, dtype);
  host::check_all(c.config);
  host::prepare(network, c.config, w.setting());
  for (auto& [name, parameter] : network->parameters()) {
    Noise noise(seed, "weights/" + name);
    network->Network::initialise(name, parameter, noise);
  }
  return network;
}

at::Tensor forward(Network& network, const at::Tensor& x, const at::Tensor& time,
                   Noise* noise = nullptr) {
  const Condition none;
  return network.forward({x, time, at::ones_like(time), at::ones_like(time), none, noise});
}

at::Tensor input(const Case& c, std::int64_t rows, at::ScalarType dtype = at::kDouble) {
  std::vector<std::int64_t> sizes{rows};
  sizes.insert(sizes.end(), c.shape.begin(), c.shape.end());
  return Noise(4, "input").normal(at::empty(sizes, dtype));
}

at::Tensor some_times(std::int64_t rows, at::ScalarType dtype = at::kDouble) {
  return at::linspace(1, 900, rows, dtype);
}

TEST(Networks, KeepTheShapeAndTypeOfX) {
  for (const Case& c : trained())
    for (const auto dtype : {at::kDouble, at::kFloat}) {
      const at::Tensor x = input(c, 2, dtype),
                       y = forward(*made(c, dtype), x, some_times(2, dtype));
      EXPECT_EQ(y.sizes(), x.sizes());
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_TRUE(y.isfinite().all().item<bool>());
    }
}

TEST(Networks, DependOnXAndOnTheTimeOfEachRow) {
  for (const Case& c : trained()) {
    const auto network = made(c);
    const at::Tensor x = input(c, 1).repeat_interleave(2, 0),
                     y = forward(*network, x, at::tensor({10.0, 500.0}, at::kDouble));
    EXPECT_GT((y[0] - y[1]).abs().max().item<double>(), 1e-6);
    EXPECT_GT((forward(*network, x + 1, at::tensor({10.0, 500.0}, at::kDouble)) - y)
                  .abs()
                  .max()
                  .item<double>(),
              1e-6);
  }
}

TEST(Networks, GradientsReachEveryParameterAndAreThoseOfFiniteDifferences) {
  for (const Case& c : trained()) {
    const auto network = made(c);
    const at::Tensor x = input(c, 2), time = some_times(2);
    const auto value = [&] { return (forward(*network, x, time) * (x + 0.5)).sum(); };
    value().backward();
    for (const auto& [name, parameter] : network->parameters()) {
      ASSERT_TRUE(parameter.grad().defined()) << name;
      const at::Tensor gradient = parameter.grad();
      // A convolution's bias before a group norm of one channel a group cancels there, and a key's
      // bias in the softmax; nothing else may be 0.
      const double least = name.ends_with("to_k.bias") ? -1 : 1e-12;
      EXPECT_GT(gradient.abs().max().item<double>(), least) << name;
      const c10::NoGradGuard guard;
      const at::Tensor direction = Noise(5, name).normal(parameter.unsqueeze(0)).squeeze(0);
      const double h = 1e-6, forward_slope = (parameter.add_(direction, h), value().item<double>()),
                   backward_slope = (parameter.sub_(direction, 2 * h), value().item<double>());
      parameter.add_(direction, h);
      const double slope = (forward_slope - backward_slope) / (2 * h);
      EXPECT_NEAR((gradient * direction).sum().item<double>(), slope,
                  1e-6 * std::max(1.0, std::abs(slope)))
          << name;
    }
  }
}

// the gradient of v^T J v, against finite differences of it
TEST(Networks, CanBeDifferentiatedTwice) {
  for (const Case& c : trained()) {
    const auto network = made(c);
    World w = world(plugin("scheduler", "vp"), network, c.shape);
    const at::Tensor x = input(c, 2), v = Noise(6, "v").normal(x);
    const auto value = [&] {
      return row_dot(w.model().vjp(x, 0.4, v, Quantity::eps).product, v).sum();
    };
    value().backward();
    double got = 0;
    std::vector<std::pair<at::Tensor, at::Tensor>> moves;  // all parameters at once
    for (const auto& [name, parameter] : network->parameters()) {
      const at::Tensor values = parameter.detach(),
                       direction = Noise(5, name).normal(values.unsqueeze(0)).squeeze(0);
      if (parameter.grad().defined()) got += (parameter.grad() * direction).sum().item<double>();
      moves.emplace_back(values, direction);
    }
    const auto at = [&](double h) {
      for (auto& [values, direction] : moves) values.add_(direction, h);
      const double out = value().item<double>();
      for (auto& [values, direction] : moves) values.sub_(direction, h);
      return out;
    };
    const double slope = (at(1e-6) - at(-1e-6)) / 2e-6;
    EXPECT_NEAR(got, slope, 1e-5 * std::max(1.0, std::abs(slope))) << c.config["plugin"];
  }
}

TEST(Networks, FirstWeightsAreAFunctionOfSeedAndName) {
  for (const Case& c : trained()) {
    const auto a = made(c)->parameters(), b = made(c)->parameters(),
               other = made(c, at::kDouble, 2)->parameters();
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].first, b[i].first);
      EXPECT_TRUE(at::equal(a[i].second, b[i].second)) << a[i].first;
      if (a[i].second.dim() < 2) continue;
      EXPECT_FALSE(at::equal(a[i].second, other[i].second)) << a[i].first;
      // uniform in +-1/sqrt(fan-in)
      const double bound =
          1 / std::sqrt(static_cast<double>(a[i].second.numel() / a[i].second.size(0)));
      EXPECT_LE(a[i].second.abs().max().item<double>(), bound) << a[i].first;
      EXPECT_GT(a[i].second.abs().max().item<double>(), 0.5 * bound) << a[i].first;
    }
  }
}

TEST(Networks, DrawNothingFromTheDefaultGenerator) {
  const auto state = [] { return at::globalContext().defaultGenerator(at::kCPU).get_state(); };
  const at::Tensor before = state();
  for (const Case& c : trained()) {
    const auto network = made(c);
    Noise noise(3, "dropout");
    forward(*network, input(c, 2), some_times(2), &noise);
  }
  EXPECT_TRUE(at::equal(state(), before));
}

TEST(DdpmUNet, HasAttentionAtTheResolutionsAskedFor) {
  const auto parameters = [](Json attention) {
    return made({plugin("network", "ddpm-unet",
                        {{"channels", 4},
                         {"groups", 2},
                         {"multipliers", {1, 1}},
                         {"attention", std::move(attention)}}),
                 {1, 8, 8}})
        ->parameters()
        .size();
  };
  // a norm and four linear maps, with biases
  const std::size_t none = parameters(Json::array()), one = 10;
  EXPECT_EQ(parameters({8}), none + 5 * one);  // two blocks down and three up; the middle always
  EXPECT_EQ(parameters({4}), none + 5 * one);
  // not at a resolution that never occurs
  EXPECT_THROW(parameters({2}), host::PluginError);
}

TEST(DdpmUNet, DropoutTakesTheHostsNoiseAndIsOffWhenSampling) {
  const Case c{plugin("network", "ddpm-unet", {{"channels", 4}, {"groups", 2}, {"dropout", 0.5}}),
               {1, 8, 8}};
  const auto network = made(c);
  const at::Tensor x = input(c, 2), time = some_times(2), plain = forward(*network, x, time);
  Noise a(3, "dropout"), b(3, "dropout"), other(4, "dropout");
  const at::Tensor dropped = forward(*network, x, time, &a);
  EXPECT_TRUE(at::equal(forward(*network, x, time, &b), dropped));
  EXPECT_FALSE(at::equal(forward(*network, x, time, &other), dropped));
  EXPECT_FALSE(at::equal(plain, dropped));
  EXPECT_TRUE(at::equal(forward(*network, x, time), plain));
}

TEST(DdpmUNet, RefusesImagesThatCannotBeHalved) {
  EXPECT_THROW(made({plugin("network", "ddpm-unet",
                            {{"channels", 4}, {"groups", 2}, {"multipliers", {1, 2, 2}}}),
                     {1, 6, 6}}),
               host::PluginError);
}

}  // namespace
}  // namespace scorelab::test
