#include <gtest/gtest.h>
#include <scorelab/step.h>

#include "testing.h"

namespace scorelab::test {
namespace {

TEST(Run, OfSomeRowsStepsWithTheirNoiseAloneAndTheOthersKeepTheirCount) {
  const World w = exact(plugin("scheduler", "vp"), gaussian({0}, {1}));
  for (const bool paths : {false, true}) {
    World world = w;
    world.paths = paths;
    Slot<Step> slot{"none"};
    slot.bind("predictor", host::make_as<Step>(plugin("step", "euler-maruyama")));
    const c10::NoGradGuard guard;
    const at::Tensor x = w.prior(3);
    scorelab::Run whole = world.run(), part = world.run();
    const at::Tensor first = whole.step(slot, x, 0.5, 0.4), second = whole.step(slot, x, 0.4, 0.3);
    const at::Tensor some = part.rows(PerRow({1, 0, 1})).step(slot, x, 0.5, 0.4);
    EXPECT_TRUE(same_bits(some[0], first[0]));
    EXPECT_TRUE(same_bits(some[2], first[2]));
    // neither score nor noise where a row is off
    expect_close(some[1], (x - 0.1 * w.q->f(0.5) * x)[1]);
    const at::Tensor next = part.step(slot, x, 0.4, 0.3);
    EXPECT_TRUE(same_bits(next[0], second[0]));
    if (paths) {
      EXPECT_TRUE(same_bits(next[1], second[1]));
    } else {  // row 1 makes its first draw here
      scorelab::Run one = world.run();
      const at::Tensor fresh = one.step(slot, x, 0.4, 0.3);
      EXPECT_TRUE(same_bits(next[1], fresh[1]));
    }
  }
}

}  // namespace
}  // namespace scorelab::test
