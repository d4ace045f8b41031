#include <gtest/gtest.h>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

Json predictor_corrector(const std::string& order, int steps, bool denoise, Json predictor,
                         Json corrector) {
  return plugin("sampler", "predictor-corrector",
                {{"order", order},
                 {"steps", steps},
                 {"denoise", denoise},
                 {"predictor", std::move(predictor)},
                 {"corrector", std::move(corrector)}});
}

/// Euler and Maruyama on VP.
at::Tensor predict(double t, double s, const at::Tensor& x, const at::Tensor& z) {
  return each(data, x, z, [&](const Coordinate& d, double x, double z) {
    return x + (0.5 * vp_beta(t) * x + vp_beta(t) * d.score(vp(t), x)) * (t - s) +
           std::sqrt(vp_beta(t) * (t - s)) * z;
  });
}

/// The signal-to-noise rule of Song et al. 2021, algorithm 5, with alpha = 1.
at::Tensor correct(double t, double r, const at::Tensor& x, const at::Tensor& z) {
  const at::Tensor g =
      each(data, x, z, [&](const Coordinate& d, double x, double) { return d.score(vp(t), x); });
  const at::Tensor e = 2 * (r * z.norm(2, 1, true) / g.norm(2, 1, true)).square();
  return x + e * g + (2 * e).sqrt() * z;
}

TEST(PredictorCorrector, IsAlgorithm1InBothOrdersByReplayedNoise) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const int N = 40, repeats = 3;
  const auto times = uniform_times(1, 1e-3, N);
  const Json em = plugin("step", "euler-maruyama"),
             langevin = plugin("step", "langevin", {{"repeats", repeats}, {"snr", 0.1}});
  for (const bool first : {false, true})
    for (const bool denoise : {false, true}) {
      const at::Tensor start = w.prior(5);
      at::Tensor x = start;
      const Noise root = w.noise();
      Noise p = root.stream("predictor"), c = root.stream("corrector");
      for (int k = 0; k < N; ++k) {
        if (first)
          for (int j = 0; j < repeats; ++j) x = correct(times[k], 0.1, x, c.normal(x));
        x = predict(times[k], times[k + 1], x, p.normal(x));
        if (!first)
          for (int j = 0; j < repeats; ++j) x = correct(times[k + 1], 0.1, x, c.normal(x));
      }
      if (denoise)
        x = each(data, x, x,
                 [](const Coordinate& d, double x, double) { return d.x0(vp(1e-3), x); });
      expect_close(w.sample(predictor_corrector(first ? "correct-first" : "predict-first", N,
                                                denoise, em, langevin),
                            start),
                   x);
      EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, N * (1 + repeats) + denoise));
    }
}

// N(1 + repeats) - repeats where the prediction ends the grid
TEST(PredictorCorrector, DoesNotCorrectAtZeroAndNeedsNoDenoisingThere) {
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 30}}), law);
  const Json ancestral = plugin("step", "ancestral"),
             langevin = plugin("step", "langevin", {{"repeats", 2}});
  w.sample(predictor_corrector("predict-first", 30, true, ancestral, langevin), w.prior(4));
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(4, 30 * 3 - 2));
  w.sample(predictor_corrector("correct-first", 30, true, ancestral, langevin), w.prior(4));
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(4, 30 * 3));
}

TEST(PredictorCorrector, WithoutACorrectorHasTheBitsAndTheCostOfTheBarePredictor) {
  for (const auto& [scheduler, step] :
       std::vector<std::pair<const char*, const char*>>{{"vp", "euler-maruyama"},
                                                        {"vp", "ancestral"},
                                                        {"ve", "reverse-diffusion"},
                                                        {"ddpm-linear", "ancestral"}}) {
    const World w = exact(plugin("scheduler", scheduler), three_modes());
    const at::Tensor x = w.prior(6), bare = w.sample(plugin("step", step, {{"steps", 25}}), x);
    const auto cost = w.nfe();
    for (const char* order : {"predict-first", "correct-first"}) {
      EXPECT_TRUE(same_bits(
          w.sample(predictor_corrector(order, 25, false, plugin("step", step), "none"), x), bare))
          << scheduler << " " << step;
      EXPECT_EQ(w.nfe(), cost);
    }
    EXPECT_EQ(cost, std::vector<std::int64_t>(6, 25));
  }
}

TEST(PredictorCorrector, WithoutAPredictorOnlyCorrects) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const int N = 20;
  const auto times = uniform_times(1, 1e-3, N);
  const at::Tensor start = w.prior(5);
  at::Tensor x = start;
  Noise c = w.noise().stream("corrector");
  for (int k = 0; k < N; ++k) x = correct(times[k + 1], 0.16, x, c.normal(x));
  expect_close(
      w.sample(predictor_corrector("predict-first", N, false, "none", plugin("step", "langevin")),
               start),
      x);
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, N));
}

TEST(PredictorCorrector, RefusesToMoveNothing) {
  const World w = exact(plugin("scheduler", "vp"), law);
  EXPECT_THROW(w.sample(predictor_corrector("predict-first", 5, false, "none", "none"), w.prior(2)),
               host::PluginError);
}

TEST(PredictorCorrector, ACorrectorDoesNotChangeThePredictorsDraws) {
  // A corrector that hardly moves leaves the predictor's path, whatever it draws itself.
  const World w = exact(plugin("scheduler", "vp"), law);
  const at::Tensor x = w.prior(5),
                   bare = w.sample(plugin("step", "euler-maruyama", {{"steps", 30}}), x);
  const Json still =
      plugin("step", "langevin", {{"rule", "fixed"}, {"eps", 1e-12}, {"repeats", 4}});
  const at::Tensor y = w.sample(
      predictor_corrector("predict-first", 30, false, plugin("step", "euler-maruyama"), still), x);
  expect_close(y, bare, 1e-3);  // sqrt(2e-12) z a step
  EXPECT_FALSE(same_bits(y, bare));
}

}  // namespace
}  // namespace scorelab::test
