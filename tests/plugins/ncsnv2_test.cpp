#include <gtest/gtest.h>

#include <cmath>

#include "golden.h"
#include "second_derivative.h"

namespace scorelab::test {
namespace {

std::shared_ptr<Network> made(const Json& params, std::vector<std::int64_t> shape) {
  return prepared("ncsnv2", params, std::move(shape));
}

at::Tensor answer(Network& network, const at::Tensor& x) {
  const at::Tensor time = at::zeros({x.size(0)}, at::kDouble);
  const Condition none;
  return network.forward({x, time, at::ones_like(time), at::ones_like(time), none, nullptr});
}

// The golden numbers are those of the paper's code, which divides by sigma itself.
TEST(Ncsnv2, IsThatOfThePapersCode) {
  const auto network = made({{"channels", 8}, {"centre", true}}, {1, 8, 8});
  EXPECT_EQ(set_by_rule(*network), std::pair(std::size_t{153}, std::int64_t{117033}));
  const at::Tensor sigma = at::tensor({1.0, std::pow(10, -1.5)}, at::kDouble).view({2, 1, 1, 1});
  expect_golden(
      [&](const at::Tensor& x) { return answer(*network, x) / sigma; }, 1,
      {200.919814295, 718.515182046, -.098815701268, .786237295435, 846.920773409, 2080528.02137});
}

std::int64_t count(const std::string& preset, std::int64_t side) {
  return parameters_of("ncsnv2", preset_of("ncsnv2", preset), {3, side, side});
}

TEST(Ncsnv2, HasTheParametersOfThePaper) {
  EXPECT_EQ(count("cifar10", 32), 29694083);
  EXPECT_EQ(count("lsun128", 128), 83445379);
  EXPECT_EQ(count("ffhq256", 256), 94132611);
}

std::shared_ptr<Scheduler> ladder(std::int64_t levels) {
  const Json config =
      plugin("scheduler", "ncsn-ladder", {{"L", levels}, {"sigma_max", 1.0}, {"sigma_min", 0.01}});
  auto out = host::make_as<Scheduler>(config);
  host::prepare(out, config, {});
  return out;
}

// Levels from the noisiest on: the golden numbers are of the levels 0 and 3 of 5.
TEST(Ncsnv2, WithLevelsIsThePapersFirst) {
  const auto q = ladder(5);
  const auto network = prepared("ncsnv2", {{"channels", 8}, {"centre", true}, {"levels", true}},
                                {1, 8, 8}, 1, at::kDouble, nullptr, q.get());
  EXPECT_EQ(set_by_rule(*network), std::pair(std::size_t{173}, std::int64_t{129945}));
  const Condition none;
  const at::Tensor time = at::tensor({std::log(1.0), std::log(std::pow(10, -1.5))}, at::kDouble);
  expect_golden(
      [&](const at::Tensor& x) {
        return network->forward({x, time, at::ones_like(time), at::ones_like(time), none, nullptr});
      },
      1,
      {18.930668553, 3.84749423456, .128136320899, -.0145533269392, -.2462370305, 2.83505530044});
}

TEST(Ncsnv2, WithLevelsHasTheParametersOfThePapersFirst) {
  const auto q = ladder(10);
  const auto count = [&](const char* preset, std::int64_t channels) {
    return parameters_of("ncsnv2", preset_of("ncsnv2", preset), {channels, 32, 32}, 1, nullptr,
                         q.get());
  };
  EXPECT_EQ(count("ncsn-cifar10", 3), 30117635);
  EXPECT_EQ(count("ncsn-mnist", 1), 7638657);
}

TEST(Ncsnv2, WithLevelsBeginsWithFactorsNearOneAndShiftsOfZero) {
  const auto q = ladder(10);
  const auto network = prepared("ncsnv2", {{"channels", 8}, {"levels", true}}, {1, 8, 8}, 1,
                                at::kDouble, nullptr, q.get());
  for (auto& [name, p] : network->parameters()) {
    if (name != "normalizer.embed.weight") continue;
    Noise noise(1, name);
    network->initialise(name, p, noise);
    const at::Tensor factors = p.narrow(1, 0, 16);
    EXPECT_NEAR(factors.mean().item<double>(), 1, 0.01);
    EXPECT_NEAR(factors.std().item<double>(), 0.02, 0.005);
    EXPECT_EQ(p.narrow(1, 16, 8).abs().max().item<double>(), 0);
  }
}

TEST(Ncsnv2, CanBeDifferentiatedTwice) {
  const auto network = made({{"channels", 4}, {"stages", 5}}, {1, 8, 8});
  for (auto& [name, p] : network->parameters()) {
    const c10::AutoGradMode no_grad(false);
    p.copy_(0.3 * Noise(7, name).normal(p.unsqueeze(0)).squeeze(0));
  }
  const at::Tensor v = wave(128).view({2, 1, 8, 8});
  expect_second_derivative([&](const at::Tensor& x) { return answer(*network, x); }, v,
                           at::sin(3 * v), 1e-7);
}

TEST(Ncsnv2, BeginsWithPyTorchsWeights) {
  const auto network = made({{"channels", 8}}, {1, 8, 8});
  std::size_t seen = 0;
  for (auto& [name, p] : network->parameters()) {
    Noise noise(1, name);
    const c10::AutoGradMode no_grad(false);
    network->initialise(name, p, noise);
    if (name == "res1.0.conv1.weight" || name == "res1.0.conv1.bias") {  // 3 x 3 of 8 channels
      EXPECT_LE(p.abs().max().item<double>(), 1 / std::sqrt(72.0)) << name;
      EXPECT_GT(p.abs().max().item<double>(), 0.7 / std::sqrt(72.0)) << name;
      ++seen;
    }
    if (name == "normalizer.gamma") {
      EXPECT_NEAR(p.mean().item<double>(), 1, 0.03);
      EXPECT_GT(p.std().item<double>(), 0.005);
      ++seen;
    }
  }
  EXPECT_EQ(seen, 3u);
}

TEST(Ncsnv2, RefusesImagesThatCannotBeHalved) {
  EXPECT_THROW(made({{"channels", 4}, {"stages", 6}}, {1, 12, 12}), host::PluginError);
  EXPECT_NO_THROW(made({{"channels", 4}}, {1, 6, 10}));
}

}  // namespace
}  // namespace scorelab::test
