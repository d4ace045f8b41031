#include <gtest/gtest.h>
#include <scorelab/capabilities.h>
#include <scorelab/component.h>

#include <set>

namespace scorelab {
namespace {

TEST(Capabilities, HaveTheNamesOfTheTableAndNoOthers) {
  Params p;
  std::set<std::string_view> names;
  for (const auto& c : capability_names) {
    EXPECT_TRUE(names.insert(c.name).second) << c.name << " twice";
    EXPECT_NO_THROW(p.gives(std::string(c.name)));
    if (c.giver.empty())
      EXPECT_THROW(p.needs(std::string(c.name), "why"), Error) << "nothing gives it: " << c.name;
    else
      EXPECT_NO_THROW(p.needs(std::string(c.name), "why"));
  }
  for (const char* misspelt : {"finite-nsr", "Path", "", "levels "}) {
    EXPECT_THROW(p.needs(misspelt, "why"), Error) << misspelt;
    EXPECT_THROW(p.gives(misspelt), Error) << misspelt;
  }
}

}  // namespace
}  // namespace scorelab
