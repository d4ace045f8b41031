#include "setup/component.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <scorelab/error.h>

#include <fstream>

#include "params/sha256.h"
#include "record/files.h"
#include "setup/generator.h"
#include "setup/weights.h"

namespace scorelab::host {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

template <class Body>
std::string blamed(Body&& body) {
  try {
    call("sampler `mine`", body);
  } catch (const PluginError& e) {
    return e.what();
  }
  return "nobody";
}

TEST(Call, WhateverAPluginThrowsNamesIt) {
  EXPECT_THAT(blamed([] { throw Error("no steps go down"); }),
              AllOf(HasSubstr("sampler `mine`"), HasSubstr("no steps go down")));
  EXPECT_THAT(blamed([] { throw std::out_of_range("map::at"); }), HasSubstr("map::at"));
  EXPECT_THAT(blamed([] { throw 7; }), HasSubstr("no std::exception"));
  EXPECT_THAT(blamed([] { at::zeros({2}) + at::zeros({3}); }),
              AllOf(HasSubstr("sampler `mine`"), testing::Not(HasSubstr("Exception raised from"))));
}

TEST(Call, WhatAnotherIsToBlameForPasses) {
  EXPECT_THROW(call("sampler `mine`", [] { throw Stopped(); }), Stopped);
  EXPECT_THROW(call("sampler `mine`", [] { throw record::IoError("no space"); }), record::IoError);
  EXPECT_THAT(blamed([] { call("step `inner`", [] { throw Error("wrong"); }); }),
              StartsWith("step `inner`"));
}

TEST(Generators, ADrawFromTheDefaultOneIsSeenAndUndone) {
  const at::Tensor before = at::globalContext().defaultGenerator(at::kCPU).get_state();
  {
    const KeepGenerator keep;
    EXPECT_FALSE(keep.changed());
    at::randn({3});
    EXPECT_TRUE(keep.changed());
  }
  EXPECT_TRUE(at::globalContext().defaultGenerator(at::kCPU).get_state().equal(before));
}

TEST(Files, AFileThatChangedSinceThePlanIsRefused) {
  const auto file = std::filesystem::path(testing::TempDir()) / "component_test.bin";
  std::ofstream(file) << "as planned";
  const Json planned{{file.string(), sha256("as planned")}};
  expect_unchanged("dataset `csv`", planned);
  std::ofstream(file) << "another text";
  EXPECT_THROW(expect_unchanged("dataset `csv`", planned), PluginError);
}

}  // namespace
}  // namespace scorelab::host
