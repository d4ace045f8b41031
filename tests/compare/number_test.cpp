#include "params/number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace scorelab {
namespace {

TEST(NumberInJson, ComesBackWhateverItIs) {
  constexpr double inf = std::numeric_limits<double>::infinity(),
                   nan = std::numeric_limits<double>::quiet_NaN();
  const auto back = [](double v) { return number_of(schema::Json::parse(json_of(v).dump())); };
  for (const double v : {0.1, -0.0, 5e-324, inf, -inf}) EXPECT_EQ(back(v), v);
  for (const double v : {nan, -nan}) {
    EXPECT_TRUE(std::isnan(back(v)));
    EXPECT_EQ(json_of(v), "nan");
  }
  EXPECT_TRUE(std::isnan(number_of(nullptr)) && std::isnan(number_of("word")));
}

}  // namespace
}  // namespace scorelab
