#include <gtest/gtest.h>

#include <cmath>

#include "golden.h"
#include "second_derivative.h"

namespace scorelab::test {
namespace {

std::shared_ptr<Network> made(const Json& params, std::vector<std::int64_t> shape) {
  return prepared("dit", params, std::move(shape));
}

const Json tiny{{"width", 32}, {"depth", 2}, {"heads", 2}, {"classes", 10}};

/// Of latents of 256 x 256 images, with a learned variance.
std::int64_t count(const std::string& preset) {
  return parameters_of("dit", preset_of("dit", preset), {4, 32, 32}, 2);
}

TEST(Dit, HasTheParametersOfThePaper) {
  EXPECT_EQ(count("S/2"), 32865056);
  EXPECT_EQ(count("S/4"), 32920448);
  EXPECT_EQ(count("S/8"), 33142016);
  EXPECT_EQ(count("B/2"), 130315808);
  EXPECT_EQ(count("L/2"), 457840672);
  EXPECT_EQ(count("XL/2"), 674834720);
  EXPECT_EQ(parameters_of("dit", tiny, {1, 8, 8}), 49992 - 4 * 33) << "without a variance";
  EXPECT_EQ(parameters_of("dit", tiny, {1, 8, 8}, 2), 49992);
}

at::Tensor answer(Network& network, const at::Tensor& x,
                  std::vector<std::int64_t> labels = {3, -1}) {
  const at::Tensor time = at::tensor({3.0, 40.0}, at::kDouble);
  const Condition condition{{"label", at::tensor(labels, at::kLong)}};
  return network.forward({x, time, at::ones_like(time), at::ones_like(time), condition, nullptr});
}

TEST(Dit, CanBeDifferentiatedTwice) {
  const auto network = made(tiny, {1, 8, 8});
  set_by_rule(*network);
  const at::Tensor v = wave(128).view({2, 1, 8, 8});
  expect_second_derivative([&](const at::Tensor& x) { return answer(*network, x); }, v,
                           at::sin(3 * v));
}

TEST(Dit, ALabelChangesItsOwnRowAlone) {
  const auto network = made(tiny, {1, 8, 8});
  set_by_rule(*network);
  const at::Tensor x = wave(128).view({2, 1, 8, 8}), a = answer(*network, x, {3, -1}),
                   b = answer(*network, x, {4, -1}), c = answer(*network, x, {3, 0});
  EXPECT_GT((a[0] - b[0]).abs().max().item<double>(), 1e-3);
  EXPECT_TRUE(at::equal(a[1], b[1]));
  EXPECT_GT((a[1] - c[1]).abs().max().item<double>(), 1e-3) << "no label is none of the labels";
}

// Peebles & Xie 2023: adaLN-zero begins as the identity, and the last map as 0.
TEST(Dit, BeginsByAnsweringZero) {
  const auto network = made(tiny, {1, 8, 8});
  for (auto& [name, p] : network->parameters()) {
    Noise noise(1, name);
    const c10::AutoGradMode no_grad(false);
    network->initialise(name, p, noise);
    const double largest = p.abs().max().item<double>();
    if (name == "blocks.1.mlp.fc1.weight") {
      EXPECT_LE(largest, std::sqrt(6.0 / (32 + 128)));
      EXPECT_GT(largest, 0.95 * std::sqrt(6.0 / (32 + 128)));
    }
    if (name == "t_embedder.mlp.0.weight") {
      EXPECT_NEAR(p.std().item<double>(), 0.02, 0.002);
    }
    if (name.find("adaLN") != name.npos) {
      EXPECT_EQ(largest, 0) << name;
    }
  }
  EXPECT_EQ(answer(*network, wave(128).view({2, 1, 8, 8})).abs().max().item<double>(), 0);
}

TEST(Dit, TakesImagesThatAreNotSquare) {
  const auto network = made(tiny, {1, 8, 4});
  set_by_rule(*network);
  const at::Tensor x = wave(64).view({2, 1, 8, 4});
  EXPECT_EQ(answer(*network, x).sizes(), x.sizes());
  // the second row of tokens has the third token's place: row 1, column 0
  const at::Tensor place = network->parameters()[0].second[0][2];
  EXPECT_NEAR(place[0].item<double>(), 0, 1e-15) << "sin(column)";
  EXPECT_NEAR(place[8].item<double>(), 1, 1e-15) << "cos(column)";
  EXPECT_NEAR(place[16].item<double>(), std::sin(1), 1e-15) << "sin(row)";
}

}  // namespace
}  // namespace scorelab::test
