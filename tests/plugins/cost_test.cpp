#include "setup/cost.h"

#include "golden.h"

/// What a network weighs and costs, against the papers' tables and formulas of their own.
namespace scorelab::test {
namespace {

host::Cost cost_of(const std::string& name, const Json& params, std::vector<std::int64_t> shape,
                   std::int64_t parts = 1) {
  const Json config = plugin("network", name, params);
  return host::cost_of(host::make_as<Network>(config), config,
                       {.shape = std::move(shape), .parts = parts});
}

/// The products of the hidden layers, of the time's embedding and of the last layer.
TEST(Cost, IsThatOfAnMlpsLayers) {
  const double width = 48, dim = 6, features = 32;
  const host::Cost cost = cost_of("mlp", {{"width", 48}, {"depth", 3}, {"time_features", 32}}, {6});
  ASSERT_TRUE(cost.multiply_adds);
  EXPECT_EQ(*cost.multiply_adds, dim * width + 2 * width * width + features * width + width * dim);
  EXPECT_EQ(cost.parameters, (6 * 48 + 48) + 2 * (48 * 48 + 48) + (32 * 48 + 48) + (48 * 6 + 6));
}

/// Peebles & Xie 2023, tables 1 and 4, in billions, of latents of 32 x 32 x 4. Theirs count a
/// little beside products.
TEST(Cost, IsWhatThePaperSaysOfDit) {
  for (const auto& [preset, billions] : {std::pair{"S/8", 0.36},
                                         {"S/2", 6.06},
                                         {"B/4", 5.56},
                                         {"B/2", 23.01},
                                         {"L/2", 80.71},
                                         {"XL/2", 118.64}}) {
    const host::Cost cost = cost_of("dit", preset_of("dit", preset), {4, 32, 32}, 2);
    ASSERT_TRUE(cost.multiply_adds) << preset;
    EXPECT_NEAR(*cost.multiply_adds / 1e9, billions, 0.006 + 2e-4 * billions) << preset;
  }
}

TEST(Cost, IsFoundOfEveryNetwork) {
  for (const char* name :
       {"adm-unet", "ddpm-unet", "dit", "edm2-unet", "mlp", "ncsnv2", "song-unet"}) {
    const host::Cost cost = cost_of(name, Json::object(), {3, 32, 32});
    EXPECT_GT(cost.parameters, 0) << name;
    EXPECT_TRUE(cost.multiply_adds) << name;
  }
}

}  // namespace
}  // namespace scorelab::test
