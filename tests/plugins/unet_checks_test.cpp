#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing.h"

namespace scorelab::test {
namespace {

using testing::HasSubstr;

/// What check and prepare say of a U-Net for images of this shape; empty where it was built and
/// answered in x's shape.
std::string said(const Json& params, const std::vector<std::int64_t>& shape) {
  const Json config = plugin("network", "ddpm-unet", params);
  try {
    host::check_all(config);
    const auto network = host::make_as<Network>(config);
    const World w = world(plugin("scheduler", "vp"), network, shape);
    host::prepare(network, config, w.setting());
    const at::Tensor x = at::ones({2, shape[0], shape[1], shape[2]}, at::kDouble),
                     time = at::ones({2}, at::kDouble);
    const Condition none;
    EXPECT_EQ(network->forward({x, time, time, time, none, nullptr}).sizes(), x.sizes());
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// Whether only check, which knows no image, refuses these parameters.
bool refused_by_check(const Json& params) {
  try {
    host::check_all(plugin("network", "ddpm-unet", params));
    return false;
  } catch (const Error&) {
    return true;
  }
}

TEST(DdpmUNet, SaysWhichAttentionNeverOccurs) {
  const std::string error =
      said({{"channels", 4}, {"groups", 2}, {"attention", {14, 13}}, {"multipliers", {1, 2, 2}}},
           {1, 28, 28});
  EXPECT_THAT(error, HasSubstr("`attention`"));
  EXPECT_THAT(error, HasSubstr("13"));
  EXPECT_THAT(error, HasSubstr("28 pixels are halved down to 7"));
  EXPECT_EQ(
      said({{"channels", 4}, {"groups", 2}, {"attention", {14, 7}}, {"multipliers", {1, 2, 2}}},
           {1, 28, 28}),
      "");
}

TEST(DdpmUNet, SaysWhichImagesItCannotHalve) {
  const std::string error =
      said({{"channels", 4}, {"groups", 2}, {"multipliers", {1, 1, 1}}}, {3, 30, 28});
  for (const char* part : {"`multipliers`", "30 x 28", "2 times"})
    EXPECT_THAT(error, HasSubstr(part));
  EXPECT_THAT(error, HasSubstr("at most 2")) << "how many resolutions such an image has";
  EXPECT_EQ(said({{"channels", 4}, {"groups", 2}, {"multipliers", {1, 1}}}, {3, 30, 28}), "");
  EXPECT_EQ(said({{"channels", 4}, {"groups", 2}, {"multipliers", {1, 1, 1}}}, {1, 12, 8}), "")
      << "sides may differ";
}

/// Where there is one combination that check lets through and LibTorch does not, said() returns
/// LibTorch's own text.
TEST(DdpmUNet, GroupsDivideEveryWidthOrCheckSaysWhichTheyDoNot) {
  for (const int channels : {4, 6, 8, 12, 16})
    for (const int groups : {1, 2, 3, 4, 5, 6, 8, 12, 16, 24})
      for (const Json& multipliers : {Json{1}, Json{1, 2}, Json{2, 1}, Json{1, 3, 2}})
        for (const Json& attention : {Json::array(), Json{8}}) {
          const Json params{{"channels", channels},
                            {"groups", groups},
                            {"multipliers", multipliers},
                            {"attention", attention}};
          const std::string error = said(params, {1, 8, 8});
          if (error.empty()) continue;
          EXPECT_THAT(error, HasSubstr("`groups`")) << params;
          EXPECT_TRUE(refused_by_check(params)) << params << ": " << error;
          EXPECT_NE(channels % groups, 0) << params << ": " << error;
        }
  EXPECT_THAT(said({{"channels", 12}, {"groups", 16}, {"multipliers", {1, 2}}}, {1, 8, 8}),
              HasSubstr("does not divide `channels` = 12"));
}

}  // namespace
}  // namespace scorelab::test
