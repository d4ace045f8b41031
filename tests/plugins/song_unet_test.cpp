#include <gtest/gtest.h>

#include <cmath>

#include "golden.h"
#include "second_derivative.h"
#include "train/arena.h"

namespace scorelab::test {
namespace {

std::shared_ptr<Network> made(const Json& params, std::vector<std::int64_t> shape) {
  return prepared("song-unet", params, std::move(shape));
}

Json tiny(const Json& more) {
  Json out{{"channels", 16}, {"multipliers", {1, 2}}, {"blocks", 1}, {"attention", {4}}};
  out.update(more);
  return out;
}

at::Tensor answer(Network& network, const at::Tensor& x, std::vector<double> times,
                  std::vector<std::int64_t> labels = {}) {
  const at::Tensor time = at::tensor(times, at::kDouble);
  Condition condition;
  if (!labels.empty()) condition["label"] = at::tensor(labels, at::kLong);
  return network.forward({x, time, at::ones_like(time), at::ones_like(time), condition, nullptr});
}

const Json fourier{{"embedding", "fourier"},
                   {"embedding_features", 2},
                   {"encoder", "residual"},
                   {"filter", {1, 3, 3, 1}}};

// The golden numbers are those of EDM's SongUNet.
TEST(SongUNet, IsEdmsNcsnpp) {
  const auto network = made(tiny(fourier), {1, 8, 8});
  EXPECT_EQ(set_by_rule(*network), std::pair(std::size_t{144}, std::int64_t{189953}));
  for (auto& [name, p] : network->parameters())
    if (!p.requires_grad()) p.copy_(at::cos(at::arange(16, at::kDouble)));
  expect_golden(
      [&](const at::Tensor& x) {
        return answer(*network, x, {-0.25, 1.5});
      },
      1,
      {8.49568837369, 1.18486857789, -.0744701966001, -.065053494918, -.0276404440584,
       .00989736076013});
}

TEST(SongUNet, IsEdmsDdpmpp) {
  const auto network = made(tiny(Json::object()), {1, 8, 8});
  EXPECT_EQ(set_by_rule(*network), std::pair(std::size_t{142}, std::int64_t{188769}));
  expect_golden(
      [&](const at::Tensor& x) {
        return answer(*network, x, {3, 40});
      },
      1,
      {-6.14888513483, .51754335204, -.136161138443, -.133907439263, -.0721983243786,
       .00636598553813});
}

std::int64_t count(const std::string& preset, std::int64_t side,
                   const Json& more = Json::object()) {
  Json params = preset_of("song-unet", preset);
  params.update(more);
  return parameters_of("song-unet", params, {3, side, side});
}

TEST(SongUNet, HasTheParametersOfThePapers) {
  EXPECT_EQ(count("ddpmpp-cifar10", 32), 61804419);
  EXPECT_EQ(count("ddpmpp-deep-cifar10", 32), 106632579);
  EXPECT_EQ(count("ncsnpp-cifar10", 32), 62758915 - 128);  // the frequencies are fixed
  EXPECT_EQ(count("ncsnpp-deep-cifar10", 32), 107587075 - 128);
  EXPECT_EQ(count("ncsnpp-celebahq256", 256), 65574549 - 128);
  // without the labels of EDM's augmentation, 9 x 128
  EXPECT_EQ(count("edm-ddpmpp-cifar10", 32), 55733891 - 1152);
  EXPECT_EQ(count("edm-ddpmpp-cifar10", 32, {{"classes", 10}}), 55735299 - 1152);
  EXPECT_EQ(count("edm-ncsnpp-cifar10", 32), 56397827 - 9 * 256);
}

TEST(SongUNet, CanBeDifferentiatedTwice) {
  for (const Json& of : {Json(fourier), Json{{"encoder", "skip"}, {"decoder", "skip"}}}) {
    const auto network = made(tiny(of), {1, 8, 8});
    set_by_rule(*network);
    const at::Tensor v = wave(128).view({2, 1, 8, 8});
    expect_second_derivative(
        [&](const at::Tensor& x) {
          return answer(*network, x, {0.3, 0.7});
        },
        v, at::sin(3 * v));
  }
}

TEST(SongUNet, ALabelChangesItsOwnRowAlone) {
  const auto network = made(tiny({{"classes", 3}}), {1, 8, 8});
  set_by_rule(*network);
  const at::Tensor x = wave(128).view({2, 1, 8, 8}), a = answer(*network, x, {3, 40}, {0, 2}),
                   b = answer(*network, x, {3, 40}, {1, 2}),
                   c = answer(*network, x, {3, 40}, {-1, 2});
  EXPECT_GT((a[0] - b[0]).abs().max().item<double>(), 1e-4);
  EXPECT_GT((a[0] - c[0]).abs().max().item<double>(), 1e-4) << "no label is none of the labels";
  EXPECT_TRUE(at::equal(a[1], b[1]));
}

TEST(SongUNet, BeginsWithThePapersWeights) {
  const auto network = made(tiny(fourier), {1, 8, 8});
  std::size_t seen = 0;
  for (auto& [name, p] : network->parameters()) {
    Noise noise(1, name);
    const c10::AutoGradMode no_grad(false);
    network->initialise(name, p, noise);
    const auto largest_is = [&, &name = name, &p = p](double bound) {
      EXPECT_LE(p.abs().max().item<double>(), bound) << name;
      EXPECT_GT(p.abs().max().item<double>(), 0.9 * bound) << name;
      ++seen;
    };
    if (name == "enc.8x8_block0.conv0.weight") largest_is(std::sqrt(6.0 / (2 * 9 * 16)));
    if (name == "enc.8x8_block0.conv1.weight") largest_is(1e-5 * std::sqrt(6.0 / (2 * 9 * 16)));
    if (name == "enc.4x4_block0.qkv.weight") largest_is(std::sqrt(0.2 * 6.0 / (32 + 96)));
    if (name == "map_noise.freqs") {
      EXPECT_NEAR(p.square().mean().item<double>(), 256, 200);
      ++seen;
    }
    if (name.ends_with(".bias")) {
      EXPECT_EQ(p.abs().max().item<double>(), 0) << name;
    }
  }
  EXPECT_EQ(seen, 4u);
}

TEST(SongUNet, HasFrequenciesThatAreFixed) {
  const auto network = made(tiny(fourier), {1, 8, 8});
  Arena arena(*network, 3);
  const NamedTensors before = arena.views(arena.values.clone());
  EXPECT_EQ(arena.count(), 189953);
  arena.require_gradients(true);
  arena.trained(arena.values).add_(1);
  const NamedTensors after = network->parameters();
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(arena.is_fixed(i), after[i].first == "map_noise.freqs");
    EXPECT_EQ(arena.is_fixed(i), at::equal(before[i].second, after[i].second)) << after[i].first;
    EXPECT_EQ(arena.is_fixed(i), !after[i].second.requires_grad()) << after[i].first;
  }
}

// 96 + 48 channels meet on the way up: no 32 groups
TEST(SongUNet, RefusesWidthsThatTheNormsCannotCut) {
  EXPECT_THROW(made({{"channels", 48}, {"multipliers", {1, 2}}, {"blocks", 1}}, {1, 8, 8}),
               host::PluginError);
}

}  // namespace
}  // namespace scorelab::test
