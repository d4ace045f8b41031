#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "golden.h"
#include "second_derivative.h"

namespace scorelab::test {
namespace {

const Json small{
    {"channels", 64}, {"multipliers", {1, 2}}, {"blocks", 1}, {"attention", {4}}, {"classes", 3}};

at::Tensor answer(Network& network, const at::Tensor& x, const std::vector<std::int64_t>& labels,
                  const std::vector<double>& times = {-0.25, 1.5}) {
  const at::Tensor time = at::tensor(times, at::kDouble);
  const Condition condition{{"label", at::tensor(labels, at::kLong)}};
  return network.forward({x, time, at::ones_like(time), at::ones_like(time), condition, nullptr});
}

/// With the frequencies cos k and the phases sin k.
std::shared_ptr<Network> by_rule() {
  const auto network = prepared("edm2-unet", small, {1, 8, 8});
  for (auto& [name, p] : network->parameters()) {
    const c10::AutoGradMode no_grad(false);
    if (p.requires_grad()) continue;
    const at::Tensor k = at::arange(p.numel(), at::kDouble);
    p.copy_(name == "emb_fourier.freqs" ? k.cos() : k.sin());
  }
  return network;
}

TEST(Edm2UNet, IsThatOfThePapersCode) {
  const auto network = by_rule();
  EXPECT_EQ(set_by_rule(*network), std::pair(std::size_t{58}, std::int64_t{2885707}));
  expect_golden(
      [&](const at::Tensor& x) {
        return answer(*network, x, {0, 2});
      },
      1,
      {6.00125664235, .358789555419, .0401230111625, -.0145246672708, .259128324592,
       .0157408565801});
}

TEST(Edm2UNet, HasTheParametersOfThePaper) {
  // the paper's count has 128 of the uncertainty, which is the loss's and no part of this network
  for (const auto& [preset, expected] : {std::pair{"xs", 124713253},
                                         {"s", 280212837},
                                         {"m", 497807781},
                                         {"l", 777498085},
                                         {"xl", 1119283749}})
    EXPECT_EQ(parameters_of("edm2-unet", preset_of("edm2-unet", preset), {4, 64, 64}),
              expected - 128)
        << preset;
}

TEST(Edm2UNet, CanBeDifferentiatedTwice) {
  const auto network = by_rule();
  set_by_rule(*network);
  const at::Tensor v = wave(128).view({2, 1, 8, 8});
  expect_second_derivative(
      [&](const at::Tensor& x) {
        return answer(*network, x, {0, 2});
      },
      v, at::sin(3 * v), 1e-4);
}

TEST(Edm2UNet, WithoutALabelIsThatOfNoClass) {
  const auto network = by_rule();
  set_by_rule(*network);
  const at::Tensor x = wave(128).view({2, 1, 8, 8});
  const at::Tensor with = answer(*network, x, {0, 2}), without = answer(*network, x, {-1, 2});
  EXPECT_FALSE(at::allclose(with[0], without[0]));
  EXPECT_TRUE(at::allclose(with[1], without[1], 1e-12, 1e-12));
}

// Its answer does not depend on the size of its weights, so that keeping them at 1 changes nothing.
TEST(Edm2UNet, IsConstrainedToRowsOfSizeOne) {
  const auto network = by_rule();
  set_by_rule(*network);
  const at::Tensor x = wave(128).view({2, 1, 8, 8});
  const c10::AutoGradMode no_grad(false);
  network->constrain();
  const at::Tensor before = answer(*network, x, {0, 2});
  for (auto& [name, p] : network->parameters()) {
    if (p.dim() < 2) continue;
    EXPECT_NEAR(p.flatten(1).square().mean(1).sqrt().sub(1).abs().max().item<double>(), 0, 2e-3)
        << name;
    p.mul_(7);
  }
  EXPECT_TRUE(at::allclose(answer(*network, x, {0, 2}), before, 1e-3, 1e-4));
  network->constrain();
  EXPECT_TRUE(at::allclose(answer(*network, x, {0, 2}), before, 1e-3, 1e-4));
}

TEST(Edm2UNet, BeginsWithNormalWeightsAndGainsOfZero) {
  const auto network = prepared("edm2-unet", small, {1, 8, 8});
  const c10::AutoGradMode no_grad(false);
  for (auto& [name, p] : network->parameters()) {
    Noise noise(1, name);
    network->initialise(name, p, noise);
    const double size = p.square().mean().sqrt().item<double>();
    const bool gain = p.dim() == 0;
    if (p.requires_grad()) {
      EXPECT_NEAR(size, gain ? 0 : 1, gain ? 0 : 0.15) << name;
    }
  }
  const at::Tensor x = wave(128).view({2, 1, 8, 8});
  EXPECT_EQ(answer(*network, x, {0, 2}).abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace scorelab::test
