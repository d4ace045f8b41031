#include <gtest/gtest.h>

#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 0.8}, {0.3, 0.6}};
const Law law = gaussian({0.7, -1.2, 0.3}, {0.5, 0.8, 0.6});

/// The distance of so many steps on VP to the closed map of the probability flow (papers.md, O4).
/// On Karras's grid the steps grow evenly, and the first ones, which are of lower order, are where
/// next to nothing of the data is in x.
double error(Json config, int steps) {
  const World w = exact(plugin("scheduler", "vp"), law);
  config["params"].update({{"steps", steps}, {"spacing", "karras"}, {"to", "t_min"}});
  const at::Tensor x = w.prior(40);
  const Point from = vp(1), to = vp(1e-3);
  const auto truth = each(data, x, x, [&](const Coordinate& d, double x, double) {
    return to.a * d.m + std::sqrt(d.variance(to) / d.variance(from)) * (x - from.a * d.m);
  });
  return (w.sample(config, x) - truth).square().mean().sqrt().item<double>();
}

TEST(Orders, AreThoseOfThePapers) {
  struct Case {
    Json config;
    double order;
  };
  std::vector<Case> cases{{plugin("step", "ddim"), 1},
                          {plugin("step", "dpm-solver-pp", {{"order", 1}}), 1},
                          {plugin("step", "dpm-solver-pp"), 2},
                          {plugin("step", "dpm-solver-pp", {{"method", "singlestep"}}), 2},
                          {plugin("step", "dpm-solver-pp", {{"order", 3}}), 3},
                          {plugin("sampler", "edm-heun"), 2}};
  for (const int n : {1, 2, 3, 4})
    cases.push_back({plugin("step", "deis", {{"order", n}}), static_cast<double>(n)});
  for (const int p : {1, 2, 3})
    for (const bool corrector : {false, true})
      cases.push_back({plugin("step", "unipc", {{"order", p}, {"corrector", corrector}}),
                       static_cast<double>(corrector ? p + 1 : p)});
  for (const Case& c : cases) {
    const double coarse = error(c.config, 160), fine = error(c.config, 320);
    EXPECT_NEAR(order(coarse, fine), c.order, 0.25)
        << c.config["plugin"] << " " << c.config["params"] << ": " << coarse << " " << fine;
  }
}

TEST(Multistep, HistoryThatEndedElsewhereIsForgotten) {
  const c10::NoGradGuard guard;
  const World w = exact(plugin("scheduler", "vp"), law);
  const at::Tensor x = w.prior(3), first = 0.5 * x;
  for (const char* name : {"dpm-solver-pp", "deis", "unipc"}) {
    const auto step = host::make_as<Step>(plugin("step", name));
    scorelab::Run with = w.run(), without = w.run(), along = w.run(), fresh = w.run();
    step->step(with, first, 0.9, 0.8);
    EXPECT_TRUE(same_bits(step->step(with, x, 0.5, 0.4), step->step(without, x, 0.5, 0.4))) << name;
    step->step(along, first, 0.6, 0.5);
    EXPECT_FALSE(same_bits(step->step(along, x, 0.5, 0.4), step->step(fresh, x, 0.5, 0.4))) << name;
  }
}

}  // namespace
}  // namespace scorelab::test
