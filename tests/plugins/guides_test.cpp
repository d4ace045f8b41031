#include <gtest/gtest.h>
#include <scorelab/guide.h>

#include <algorithm>

#include "formulas.h"
#include "sampling_testing.h"

namespace scorelab::test {
namespace {

const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});
const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};

/// Ho et al. 2020, algorithm 2, large variance, with `change` of the predicted x0 before the
/// posterior's mean.
template <class Change>
at::Tensor chain(int T, at::Tensor x, Noise noise, Change&& change) {
  const Ddpm process(T);
  for (int t = T; t > 0; --t) {
    const double beta = process.beta[t], ab_t = process.abar[t], ab_s = process.abar[t - 1];
    const at::Tensor x0 = change(each(
        data, x, x, [&](const Coordinate& d, double x, double) { return d.x0(process.at(t), x); }));
    const at::Tensor z = t > 1 ? noise.normal(x) : at::zeros_like(x);
    x = std::sqrt(ab_s) * beta / (1 - ab_t) * x0 +
        std::sqrt(1 - beta) * (1 - ab_s) / (1 - ab_t) * x + std::sqrt(beta) * z;
  }
  return x;
}

/// Saharia et al. 2022, section 2.3, in loops: s is numpy's quantile (linear between order
/// statistics).
at::Tensor thresholded(const at::Tensor& x0, double quantile, double bound) {
  at::Tensor out = x0.clone();
  auto to = out.accessor<double, 2>();
  for (std::int64_t r = 0; r < out.size(0); ++r) {
    std::vector<double> size;
    for (std::int64_t d = 0; d < out.size(1); ++d) size.push_back(std::abs(to[r][d]));
    std::sort(size.begin(), size.end());
    const double at = quantile * static_cast<double>(size.size() - 1);
    const auto low = static_cast<std::size_t>(at), high = std::min(low + 1, size.size() - 1);
    const double s =
        std::max(bound, size[low] + (at - static_cast<double>(low)) * (size[high] - size[low]));
    for (std::int64_t d = 0; d < out.size(1); ++d)
      to[r][d] = std::min(std::max(to[r][d], -s), s) * bound / s;
  }
  return out;
}

TEST(Clip, IsThatOfDdpmsSamplerBeforeThePosteriorsMean) {
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 60}}), law);
  w.add_guide("clip", {{"low", -0.9}, {"high", 0.8}});
  const at::Tensor x = w.prior(20), y = w.sample(plugin("step", "ancestral"), x);
  expect_close(y, chain(60, x, w.noise().stream("predictor"),
                        [](const at::Tensor& x0) { return x0.clamp(-0.9, 0.8); }));
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(20, 60))
      << "a guide that asks nothing costs nothing";
  EXPECT_LE(y.max().item<double>(), 0.8 + 1e-12);
  EXPECT_GE(y.min().item<double>(), -0.9 - 1e-12);
}

TEST(Threshold, IsTheDynamicThresholdingOfImagen) {
  for (const double quantile : {0.0, 0.5, 0.7, 1.0}) {
    const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 60}}), law);
    w.add_guide("threshold", {{"quantile", quantile}, {"bound", 0.6}});
    const at::Tensor x = w.prior(20), y = w.sample(plugin("step", "ancestral"), x);
    expect_close(y, chain(60, x, w.noise().stream("predictor"),
                          [&](const at::Tensor& x0) { return thresholded(x0, quantile, 0.6); }));
    EXPECT_LE(y.abs().max().item<double>(), 0.6 + 1e-12);
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(20, 60));
  }
}

TEST(Threshold, TakesTheQuantileOverAllElementsOfAnImage) {
  const World flat = exact(plugin("scheduler", "vp"), law),
              image = exact(plugin("scheduler", "vp"), law, {3, 1, 1});
  for (const World* w : {&flat, &image})
    w->add_guide("threshold", {{"quantile", 0.8}, {"bound", 0.3}});
  const Json em = plugin("step", "euler-maruyama", {{"steps", 10}});
  const at::Tensor x = flat.prior(6);
  EXPECT_TRUE(same_bits(image.sample(em, x.view({6, 3, 1, 1})).view({6, 3}), flat.sample(em, x)));
}

TEST(Guides, ActInTheOrderWrittenAndOnEveryQuantity) {
  const World both = exact(plugin("scheduler", "vp"), law),
              turned = exact(plugin("scheduler", "vp"), law);
  const World* worlds[] = {&both, &turned};
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 2; ++j)
      j == k ? worlds[k]->add_guide("clip", {{"low", -2.0}, {"high", 0.5}})
             : worlds[k]->add_guide("threshold", {{"quantile", 1.0}, {"bound", 0.4}});
  const double t = 0.3;
  const Point p = vp(t);
  const at::Tensor x = 2 * both.prior(8);
  const at::Tensor x0 =
      each(data, x, x, [&](const Coordinate& d, double x, double) { return d.x0(p, x); });
  const at::Tensor first = thresholded(x0.clamp(-2.0, 0.5), 1, 0.4),
                   second = thresholded(x0, 1, 0.4).clamp(-2.0, 0.5);
  ASSERT_GT((first - second).abs().max().item<double>(), 0.01);
  const c10::NoGradGuard guard;
  for (const auto& [w, expected] :
       std::vector<std::pair<const World*, at::Tensor>>{{&both, first}, {&turned, second}}) {
    const Prediction said = w->model()(x, t);
    expect_close(said.x0(), expected);
    const at::Tensor eps = (x - p.a * expected) / p.b;
    expect_close(said.eps(), eps);
    expect_close(said.score(), -eps / p.b);
    expect_close(said.v(), p.a * eps - p.b * expected);
    expect_close(said.velocity(), -0.5 * vp_beta(t) * (x - eps / p.b));
  }
}

TEST(Guides, TheUnguidedModelDoesNotHaveThem) {
  const World w = exact(plugin("scheduler", "vp"), law),
              bare = exact(plugin("scheduler", "vp"), law);
  w.add_guide("clip", {{"low", -0.1}, {"high", 0.1}});
  const c10::NoGradGuard guard;
  const at::Tensor x = w.prior(8);
  Model guided = w.model();
  EXPECT_TRUE(same_bits(guided.unguided()(x, 0.5).score(), bare.model()(x, 0.5).score()));
  EXPECT_TRUE(same_bits(guided.rows(1).unguided().rows(1)(x, 0.5).x0(), bare.model()(x, 0.5).x0()));
  EXPECT_LE(guided.rows(1)(x, 0.5).x0().abs().max().item<double>(), 0.1 + 1e-12);
}

TEST(Guides, RowsThatAreOffAnswerZero) {
  const World w = exact(plugin("scheduler", "vp"), law);
  w.add_guide("clip", {{"low", 0.2}, {"high", 0.3}});  // 0 is outside of it
  const c10::NoGradGuard guard;
  w.context->counts.reset(3);
  const Prediction p = w.model().rows(PerRow({1, 0, 1}))(w.prior(3), 0.5);
  for (const Quantity q :
       {Quantity::x0, Quantity::eps, Quantity::score, Quantity::v, Quantity::velocity}) {
    EXPECT_EQ(p.as(q)[1].abs().max().item<double>(), 0);
    EXPECT_GT(p.as(q)[2].abs().max().item<double>(), 0);
  }
  EXPECT_EQ(w.nfe(), (std::vector<std::int64_t>{1, 0, 1}));
}

TEST(Guides, GradientsPassThroughClipAndAreZeroWhereItClips) {
  const World w = exact(plugin("scheduler", "vp"), law);
  w.add_guide("clip", {{"low", -0.9}, {"high", 0.8}});
  const double t = 0.4;
  const Point p = vp(t);
  const at::Tensor x = 3 * w.prior(30), v = Noise(3, "v").normal(x);
  const c10::NoGradGuard guard;
  int clipped = 0;
  const at::Tensor slope = each(data, x, x, [&](const Coordinate& d, double x, double) {
    const bool inside = d.x0(p, x) > -0.9 && d.x0(p, x) < 0.8;
    clipped += !inside;
    return inside ? p.a * d.c * d.c / d.variance(p) : 0;  // dx0/dx
  });
  ASSERT_GT(clipped, 10);
  ASSERT_LT(clipped, 80);
  Model model = w.model();
  expect_close(model.vjp(x, t, v, Quantity::x0).product, v * slope);
  expect_close(model.vjp(x, t, v, Quantity::score).product, v * (p.a * slope - 1) / (p.b * p.b));
  expect_close(model.jvp(x, t, v, Quantity::x0), v * slope);
  const Vjp both = model.vjp(x, t, v, Quantity::x0);
  EXPECT_TRUE(same_bits(both.prediction.x0(), model(x, t).x0()));
  EXPECT_EQ(w.nfe().front(), 5);
}

/// Asks the model without guides at another time, as guidance does.
class Asking final : public Guide {
 public:
  Prediction guide(GuideRun& run, const at::Tensor& x, const Times& t) const override {
    const Prediction p = run.model(x, t);
    const at::Tensor other = run.model.unguided()(x, 0.9).x0();
    return p.with(Quantity::x0, 0.5 * (p.x0() + other));
  }
};

TEST(Guides, TheirOwnEvaluationsAreCountedAndUnguided) {
  const World w = exact(plugin("scheduler", "vp"), law),
              bare = exact(plugin("scheduler", "vp"), law);
  for (int k = 0; k < 2; ++k) w.context->guides.push_back({std::make_shared<Asking>()});
  const c10::NoGradGuard guard;
  const at::Tensor x = w.prior(2);
  w.context->counts.reset(2);
  const at::Tensor here = bare.model()(x, 0.5).x0(), there = bare.model()(x, 0.9).x0();
  expect_close(w.model()(x, 0.5).x0(), 0.25 * here + 0.75 * there);
  EXPECT_EQ(w.nfe(), (std::vector<std::int64_t>{3, 3}));
  w.context->counts.reset(2);
  w.model().rows(PerRow({0, 1}))(x, 0.5);
  EXPECT_EQ(w.nfe(), (std::vector<std::int64_t>{0, 3}))
      << "a row that is off costs nothing, through guides too";
}

TEST(Guides, EverySamplerSeesThemAndBitsDoNotDependOnTheChunk) {
  const Json em = plugin("step", "euler-maruyama"), langevin = plugin("step", "langevin");
  const std::vector<Json> samplers{
      plugin("step", "ancestral", {{"steps", 6}}),
      plugin("step", "euler-maruyama", {{"steps", 6}, {"denoise", true}}),
      plugin("step", "reverse-diffusion", {{"steps", 6}}),
      plugin("sampler", "predictor-corrector",
             {{"steps", 6}, {"predictor", em}, {"corrector", langevin}}),
      plugin("sampler", "pf-ode", {{"solver", "heun"}, {"steps", 6}}),
      plugin("sampler", "pf-ode", {{"solver", "rk45"}, {"rtol", 1e-3}})};
  for (const char* guide : {"clip", "threshold"})
    for (const auto dtype : {at::kDouble, at::kFloat})
      for (const Json& sampler : samplers) {
        const World bare = exact(plugin("scheduler", "vp"), law, {}, dtype),
                    w = exact(plugin("scheduler", "vp"), law, {}, dtype);
        guide == std::string("clip") ? w.add_guide(guide, {{"low", -0.3}, {"high", 0.4}})
                                     : w.add_guide(guide, {{"quantile", 0.6}, {"bound", 0.4}});
        const at::Tensor whole = w.sample(sampler, w.prior(20));
        EXPECT_FALSE(same_bits(whole, bare.sample(sampler, w.prior(20)))) << sampler["plugin"];
        w.context->chunk = 7;
        for (const std::int64_t size : {1, 7, 20})
          for (std::int64_t first = 0; first < 20; first += size) {
            const std::int64_t n = std::min<std::int64_t>(size, 20 - first);
            EXPECT_TRUE(
                same_bits(w.sample(sampler, w.prior(n, first), first), whole.narrow(0, first, n)))
                << guide << ", " << sampler["plugin"] << ", calls of " << size;
          }
      }
}

TEST(Guides, RefuseBoundsThatAreNone) {
  const World w = exact(plugin("scheduler", "vp"), law);
  EXPECT_THROW(w.add_guide("clip", {{"low", 1.0}, {"high", 1.0}}), host::PluginError);
  EXPECT_THROW(w.add_guide("clip", {{"low", 2.0}}), host::PluginError);
}

}  // namespace
}  // namespace scorelab::test
