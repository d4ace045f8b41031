#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "golden.h"
#include "second_derivative.h"
#include "testing.h"

namespace scorelab::test {
namespace {

std::shared_ptr<Network> made(Json params, std::vector<std::int64_t> shape,
                              at::ScalarType dtype = at::kDouble) {
  const Json config = plugin("network", "ddpm-unet", std::move(params));
  auto network = host::make_as<Network>(config);
  const World w = world(plugin("scheduler", "ddpm-linear"), network, std::move(shape), dtype);
  host::check_all(config);
  host::prepare(network, config, w.setting());
  return network;
}

TEST(DdpmUNet, IsThatOfTheReferenceToTwelveDigits) {
  // Weights and input by a rule; the numbers are those of diffusers 0.42.1's UNet2DModel with a
  // time embedding in float64.
  const auto network = made(
      {{"channels", 32}, {"multipliers", {1, 2}}, {"blocks", 1}, {"attention", {4}}}, {3, 8, 8});
  EXPECT_EQ(set_by_rule(*network), std::pair(std::size_t{144}, std::int64_t{702499}));
  const at::Tensor time = at::tensor({3.0, 40.0}, at::kDouble);
  const Condition none;
  expect_golden(
      [&](const at::Tensor& x) {
        return network->forward({x, time, at::ones_like(time), at::ones_like(time), none, nullptr});
      },
      3,
      {43.3443705717, 53.5670540729, 0.447220217965, 0.540027935198, 0.73387588754, 36.2714955428});
}

TEST(DdpmUNet, CanBeDifferentiatedTwice) {
  const auto network = made(
      {{"channels", 4}, {"groups", 2}, {"multipliers", {1, 2}}, {"blocks", 1}, {"attention", {4}}},
      {1, 8, 8});
  for (auto& [name, p] : network->parameters()) {
    const c10::AutoGradMode no_grad(false);
    p.copy_(0.3 * Noise(7, name).normal(p.unsqueeze(0)).squeeze(0));
  }
  const at::Tensor time = at::tensor({3.0, 40.0}, at::kDouble), v = wave(2 * 64).view({2, 1, 8, 8}),
                   u = wave(300).narrow(0, 150, 2 * 64).view({2, 1, 8, 8});
  const Condition none;
  const auto f = [&](const at::Tensor& x) {
    return network->forward({x, time, at::ones_like(time), at::ones_like(time), none, nullptr});
  };
  expect_second_derivative(f, v, u);
}

TEST(DdpmUNet, ThatRecomputesHasTheSameGradients) {
  std::vector<at::Tensor> all;
  for (const bool recompute : {false, true}) {
    const auto network = made({{"channels", 4},
                               {"groups", 2},
                               {"multipliers", {1, 2}},
                               {"blocks", 1},
                               {"attention", {4}},
                               {"dropout", 0.3},
                               {"recompute", recompute}},
                              {1, 8, 8});
    std::vector<at::Tensor> weights;
    for (auto& [name, p] : network->parameters()) {
      const c10::AutoGradMode no_grad(false);
      p.copy_(0.3 * Noise(7, name).normal(p.unsqueeze(0)).squeeze(0));
      weights.push_back(p);
    }
    const at::Tensor time = at::tensor({3.0, 40.0}, at::kDouble), x = wave(128).view({2, 1, 8, 8});
    const Condition none;
    Noise noise(3, "dropout");
    const at::Tensor y =
        network->forward({x, time, at::ones_like(time), at::ones_like(time), none, &noise});
    std::vector<at::Tensor> flat;
    for (const auto& g : torch::autograd::grad({(y * wave(128).view(y.sizes())).sum()}, weights))
      flat.push_back(g.flatten());
    all.push_back(at::cat(flat));
  }
  // the gradients of the time embedding are summed in another order
  EXPECT_TRUE(at::allclose(all[0], all[1], 1e-12, 1e-13));
  EXPECT_GT(all[0].abs().max().item<double>(), 0.1);
}

TEST(DdpmUNet, HasThePapersNumberOfParameters) {
  const auto count = [](const char* preset, std::int64_t side) {
    return parameters_of("ddpm-unet", preset_of("ddpm-unet", preset), {3, side, side});
  };
  EXPECT_EQ(count("cifar10", 32), 35746307);  // 35.7 M, Ho et al. 2020, appendix B
  EXPECT_NEAR(static_cast<double>(count("lsun256", 256)), 114e6, 0.5e6);  // "114 million"
}

TEST(DdpmUNet, BeginsWithTheVarianceOfItsFansAndLastMapsOfAlmostNothing) {
  const auto network =
      made({{"channels", 32}, {"multipliers", {1, 2}}, {"blocks", 1}}, {3, 16, 16});
  for (auto& [name, p] : network->parameters()) {
    const c10::AutoGradMode no_grad(false);
    Noise noise(7, "initialise/" + name);
    network->initialise(name, p, noise);
    if (p.dim() == 1) {
      EXPECT_TRUE(at::equal(p, name.find("norm") != name.npos && name.ends_with("weight")
                                   ? at::ones_like(p)
                                   : at::zeros_like(p)))
          << name;
      continue;
    }
    const bool last = name.ends_with("conv2.weight") || name.ends_with("to_out.0.weight") ||
                      name == "conv_out.weight";
    const double kernel = p.dim() == 4 ? static_cast<double>(p.size(2) * p.size(3)) : 1;
    // Glorot & Bengio 2010
    const double variance =
        (last ? 1e-10 : 1.0) * 2 / (kernel * static_cast<double>(p.size(0) + p.size(1)));
    const double n = static_cast<double>(p.numel());
    // of a uniform's square: 4/5 relative
    EXPECT_NEAR(p.square().mean().item<double>() / variance, 1, 5 * std::sqrt(0.8 / n)) << name;
  }
}

TEST(DdpmUNet, RefusesWhatDoesNotFit) {
  EXPECT_NO_THROW(
      made({{"channels", 32}, {"multipliers", {1, 2, 2}}, {"attention", {12}}}, {3, 12, 12}));
  // 12, 6, 3, and then?
  EXPECT_THROW(made({{"channels", 32}, {"attention", {12}}}, {3, 12, 12}), host::PluginError);
  EXPECT_THROW(made({{"channels", 32}, {"multipliers", {1, 2}}, {"attention", {5}}}, {3, 8, 8}),
               host::PluginError);
  // odd
  EXPECT_THROW(
      made({{"channels", 33}, {"groups", 3}, {"multipliers", {1}}, {"attention", {8}}}, {3, 8, 8}),
      host::PluginError);
  EXPECT_THROW(made({{"channels", 30}, {"multipliers", {1}}, {"attention", {8}}}, {3, 8, 8}),
               host::PluginError);
}

}  // namespace
}  // namespace scorelab::test
