#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formulas.h"
#include "objectives_testing.h"

namespace scorelab::test {
namespace {

using testing::HasSubstr;

/// Processes whose alpha ends at 0 (or, with ddpm-cosine, nearly so), and those that need it above.
const std::vector<Json> ends{plugin("scheduler", "linear-alpha-bar", {{"T", 50}}),
                             plugin("scheduler", "flow"),
                             plugin("scheduler", "ddpm-cosine", {{"T", 50}})};

bool needs(const Json& config, const std::string& capability) {
  Params p;
  host::make(config)->params(p);
  for (const auto& one : p.capabilities)
    if (one->needed && one->name == capability) return true;
  return false;
}

/// What it throws; empty where it does not.
std::string thrown(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(ZeroSnr, SamplersThatDivideByAlphaSaySo) {
  for (const char* name :
       {"deis", "euler-maruyama", "reverse-diffusion", "stochastic-heun", "unipc"})
    EXPECT_TRUE(needs(plugin("step", name), "finite-snr")) << name;
  for (const char* name : {"adaptive-sde", "edm-heun"})
    EXPECT_TRUE(needs(plugin("sampler", name), "finite-snr")) << name;
}

TEST(ZeroSnr, TheOtherSamplersAreFiniteOrSayWhereTheyAreNot) {
  std::vector<Json> samplers{plugin("sampler", "annealed-langevin", {{"T", 3}}),
                             plugin("sampler", "predictor-corrector",
                                    {{"steps", 10}, {"predictor", plugin("step", "ddim")}})};
  for (const char* variance : {"large", "small", "analytic"})
    samplers.push_back(plugin("step", "ancestral", {{"steps", 10}, {"variance", variance}}));
  for (const double eta : {0.0, 1.0})
    samplers.push_back(plugin("step", "ddim", {{"steps", 10}, {"eta", eta}}));
  samplers.push_back(plugin("step", "ddim", {{"steps", 10}, {"sigma", "hat"}}));
  for (const int order : {1, 2, 3})
    samplers.push_back(plugin("step", "dpm-solver-pp", {{"steps", 10}, {"order", order}}));
  samplers.push_back(plugin("step", "dpm-solver-pp", {{"steps", 10}, {"sde", true}}));
  samplers.push_back(plugin("step", "dpm-solver-pp", {{"steps", 10}, {"method", "singlestep"}}));
  for (const char* solver : {"euler", "heun", "rk4"})
    samplers.push_back(plugin("sampler", "pf-ode", {{"solver", solver}, {"steps", 10}}));
  for (const char* solver : {"rk45", "dopri5"})
    samplers.push_back(plugin("sampler", "pf-ode", {{"solver", solver}}));
  for (const Json& scheduler : ends)
    for (const Law& law : {gaussian({0.7, -1.2}, {0.5, 1.3}), three_modes()}) {
      const World w = exact(scheduler, law);
      for (const Json& config : samplers) {
        const std::string what = config["plugin"].get<std::string>() + config["params"].dump() +
                                 " on " + scheduler["plugin"].get<std::string>();
        if (config["plugin"] == "annealed-langevin" && w.q->levels() == 0) continue;
        at::Tensor y;
        const std::string error = thrown(
            [&] { host::call(host::title(config), [&] { y = w.sample(config, w.prior(4)); }); });
        if (config["plugin"] == "pf-ode" && scheduler["plugin"] == "linear-alpha-bar") {
          EXPECT_THAT(error, HasSubstr("sampler `pf-ode`")) << what;
          EXPECT_THAT(error, HasSubstr("t = 1")) << what;
          EXPECT_THAT(error, HasSubstr("`from`")) << what << ": what to do";
          continue;
        }
        ASSERT_EQ(error, "") << what;
        EXPECT_TRUE(y.isfinite().all().item<bool>()) << what;
        EXPECT_LT(y.abs().max().item<double>(), 20) << what;
      }
    }
}

TEST(ZeroSnr, TheOdeFromBelowTheEndIsTheClosedMapOfAGaussian) {  // papers.md, O4
  const World w = exact(plugin("scheduler", "linear-alpha-bar", {{"T", 50}}),
                        gaussian({0.7, -1.2}, {0.5, 1.3}));
  const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.3}};
  const Point from{std::sqrt(0.1), std::sqrt(0.9)}, to{std::sqrt(0.98), std::sqrt(0.02)};
  const at::Tensor x = w.prior(4);
  const at::Tensor got =
      w.sample(plugin("sampler", "pf-ode", {{"solver", "rk4"}, {"steps", 2000}, {"from", 0.9}}), x);
  expect_close(got,
               each(data, x, x,
                    [&](const Coordinate& d, double x, double) {
                      return to.a * d.m +
                             std::sqrt(d.variance(to) / d.variance(from)) * (x - from.a * d.m);
                    }),
               1e-6);
}

/// A network that predicts x0 leaves velocity, eps and score to be solved for.
World predicting(const Json& scheduler, const char* predict) {
  OutputOptions output;
  output.predict = predict;
  return world(
      scheduler,
      std::make_shared<TinyNetwork>(0.3 * at::eye(2, at::kDouble), at::zeros({2}, at::kDouble)),
      {2}, at::kDouble, output);
}

TEST(ZeroSnr, WhatHasNoValueThereIsAnErrorThatSaysWhere) {
  const at::Tensor x = at::ones({2, 2}, at::kDouble);
  for (const Json& scheduler : {ends[0], ends[1]}) {
    for (const char* predict : {"eps", "score"}) {
      const std::string error = thrown([&] { predicting(scheduler, predict).model()(x, 1).x0(); });
      EXPECT_THAT(error, HasSubstr("t = 1")) << predict << scheduler["plugin"];
      EXPECT_THAT(error, HasSubstr("alpha is 0")) << predict << scheduler["plugin"];
    }
    const World w = predicting(scheduler, "x0");
    for (const auto& slope : {thrown([&] { w.q->f(1); }), thrown([&] {
                                w.q->g2(Times(std::vector<double>{0.5, 1}));
                              })}) {
      EXPECT_THAT(slope, HasSubstr("t = 1")) << scheduler["plugin"];
    }
    // A row that is off may stand anywhere.
    EXPECT_EQ(thrown([&] {
                predicting(scheduler, "eps")
                    .model()
                    .rows(PerRow({1, 0}))(x, Times(std::vector<double>{0.5, 1}))
                    .x0();
              }),
              "");
  }
  const Json& chain = ends[0];
  for (const std::string& error :
       {thrown([&] { predicting(chain, "x0").model()(x, 1).velocity(); }),
        thrown([&] { predicting(chain, "velocity").model()(x, 1).x0(); }), thrown([&] {
          const World w = predicting(chain, "x0");
          loss(w, *objective("flow-matching"), batch(w, x, 1));
        })})
    EXPECT_THAT(error, HasSubstr("t = 1"));
  EXPECT_EQ(thrown([&] { predicting(ends[1], "x0").model()(x, 1).velocity(); }), "")
      << "flow has its velocity there";
}

/// Bao et al. 2022: the best variance is the posterior's and what is unknown of x0, also where x
/// says next to nothing of x0: there it is the data's variance, mean over the dimensions.
TEST(Ancestral, AnalyticVarianceHoldsWhereNearlyNothingIsLeftOfTheData) {
  const Law law{at::tensor({0.5, 0.2, 0.3}, at::kDouble),
                at::tensor({1.0, -1.2, 0.2}, at::kDouble).view({3, 1}),
                at::tensor({0.16, 0.25, 0.09}, at::kDouble).view({3, 1}),
                {}};
  const double spread = law.covariance().item<double>();
  for (const char* scheduler : {"ddpm-cosine", "linear-alpha-bar"}) {
    const World w = exact(plugin("scheduler", scheduler, {{"T", 1000}}), law);
    const Json config = plugin("step", "ancestral", {{"variance", "analytic"}});
    const auto step = host::make_as<Step>(config);
    host::prepare(step, config, w.setting(&law));
    const double a = w.q->alpha(0.999).one(), s = w.q->sigma(0.999).one(),
                 beta = w.q->kernel(0.999, 1).sigma2.one();
    const double got = std::pow(measured(w, *step, 1, 0.999).C, 2);
    EXPECT_NEAR((got - beta * s * s) / (a * a * beta * beta) / spread, 1, 0.05) << scheduler;
  }
}

}  // namespace
}  // namespace scorelab::test
