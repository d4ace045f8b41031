#include <gtest/gtest.h>

#include "testing.h"

namespace scorelab::test {
namespace {

/// A trained network's kind in a model, in float32, with first weights that are not 0.
World of(const Json& config, const std::vector<std::int64_t>& shape, bool bf16) {
  const auto network = host::make_as<Network>(config);
  World w = world(plugin("scheduler", "vp"), network, shape, at::kFloat);
  host::prepare(network, config, w.setting());
  for (auto& [name, parameter] : network->parameters()) {
    const c10::AutoGradMode no_grad(false);
    Noise noise(1, "weights/" + name);
    parameter.copy_(0.2 * noise.normal(parameter.detach().unsqueeze(0)).squeeze(0));
  }
  w.context->bf16 = bf16;
  return w;
}

const std::vector<std::pair<Json, std::vector<std::int64_t>>> networks{
    {plugin("network", "mlp", {{"width", 64}, {"depth", 3}}), {5}},
    {plugin("network", "ddpm-unet", {{"channels", 8}, {"groups", 2}, {"attention", {4}}}),
     {1, 8, 8}}};

at::Tensor some_x(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> sizes{6};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  return Noise(4, "input").normal(at::empty(sizes, at::kFloat));
}

/// bfloat16 keeps 8 bits: a product of rounded factors is off by at most 2^-8 of its terms' sizes,
/// and some digit of it is.
TEST(Precision, Bfloat16IsNearFloat32AndNotFloat32) {
  for (const auto& [config, shape] : networks) {
    const c10::AutoGradMode no_grad(false);
    const at::Tensor x = some_x(shape);
    const at::Tensor exact = of(config, shape, false).model()(x, 0.5).eps(),
                     rounded = of(config, shape, true).model()(x, 0.5).eps();
    EXPECT_EQ(rounded.scalar_type(), at::kFloat);
    const double off = ((rounded - exact).norm() / exact.norm()).item<double>();
    EXPECT_GT(off, 1e-5) << "nothing was rounded";
    EXPECT_LT(off, 0.03);
    EXPECT_TRUE(exact.equal(of(config, shape, false).model()(x, 0.5).eps()))
        << "float32 after bfloat16 is float32";
  }
}

/// The gradient of a loss reaches float32 weights in float32, and points where that of float32
/// does; also that of a loss with a gradient in it.
TEST(Precision, GradientsOfBfloat16AreFloat32AndNearby) {
  for (const auto& [config, shape] : networks)
    for (const bool twice : {false, true}) {
      const auto gradient = [&, &config = config, &shape = shape](bool bf16) {
        const World w = of(config, shape, bf16);
        const at::Tensor x = some_x(shape);
        Model model = w.model();
        const at::Tensor loss = twice ? model.vjp(x, 0.5, x, Quantity::eps).product.square().mean()
                                      : model(x, 0.5).eps().square().mean();
        loss.backward();
        std::vector<at::Tensor> all;
        for (const auto& [name, parameter] : w.parts->network->parameters()) {
          if (!parameter.grad().defined()) continue;  // the last bias, of a derivative
          EXPECT_EQ(parameter.grad().scalar_type(), at::kFloat) << name;
          all.push_back(parameter.grad().flatten());
        }
        return at::cat(all);
      };
      const at::Tensor exact = gradient(false), rounded = gradient(true);
      EXPECT_FALSE(exact.equal(rounded));
      EXPECT_LT(((rounded - exact).norm() / exact.norm()).item<double>(), 0.1)
          << schema::text(config) << twice;
    }
}

/// An exact score is exact in every precision.
TEST(Precision, WhatHasNoWeightsIsNotRounded) {
  const Law law{at::ones({1}, at::kDouble),
                at::tensor({0.7, -1.2}, at::kDouble).view({1, 2}),
                at::ones({1, 2}, at::kDouble),
                {}};
  const World w = exact(plugin("scheduler", "vp"), law, {}, at::kFloat);
  const at::Tensor x = some_x({2}), score = w.model()(x, 0.5).score();
  w.context->bf16 = true;
  EXPECT_TRUE(score.equal(w.model()(x, 0.5).score()));
}

}  // namespace
}  // namespace scorelab::test
