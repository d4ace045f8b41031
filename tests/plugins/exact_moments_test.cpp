#include <gmock/gmock.h>

#include <numeric>

#include "formulas.h"
#include "sampling_testing.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

/// Mean and variance of one coordinate.
struct Two {
  double mean, variance;
  /// After x' = f(x, z), affine in both.
  template <class F>
  Two after(F&& f) const {
    const double B = f(0, 0), A = f(1, 0) - B, C = f(0, 1) - B;
    return {A * mean + B, A * A * variance + C * C};
  }
};

/// `chain` of each coordinate from N(0, std^2) against what the host says, at so many evaluations.
template <class Chain>
void expect_moments(Sampling s, double prior_std, std::int64_t nfe, Chain&& chain) {
  const ExactMoments got = exact_moments(s);
  EXPECT_EQ(got.nfe, nfe);
  ASSERT_EQ(got.moments.mean.sizes(), at::IntArrayRef(s.data->shape()));
  for (std::size_t d = 0; d < data.size(); ++d) {
    const Two expected = chain(data[d], Two{0, prior_std * prior_std});
    EXPECT_NEAR(got.moments.mean.flatten()[static_cast<std::int64_t>(d)].item<double>(),
                expected.mean, 1e-10);
    EXPECT_NEAR(got.moments.variance.flatten()[static_cast<std::int64_t>(d)].item<double>(),
                expected.variance, 1e-10);
  }
}

Json predictor_corrector(Json predictor, Json corrector, int steps) {
  return plugin("sampler", "predictor-corrector",
                {{"steps", steps},
                 {"predictor", std::move(predictor)},
                 {"corrector", std::move(corrector)},
                 {"denoise", true}});
}

/// Song et al. 2021, equation 6, by Euler and Maruyama on VP.
double reverse_vp(const Coordinate& d, double t, double s, double x, double z) {
  const double h = t - s, beta = vp_beta(t);
  return x + h * (0.5 * beta * x + beta * d.score(vp(t), x)) + std::sqrt(beta * h) * z;
}

TEST(ExactMoments, OfAncestralSamplingAreThoseOfAlgorithm2) {
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 200}}), law);
  const Ddpm process(200);
  for (const bool large : {true, false})
    for (const int S : {200, 20}) {
      const Json config =
          plugin("step", "ancestral", {{"variance", large ? "large" : "small"}, {"steps", S}});
      expect_moments(sampling(w, law, config), 1, S, [&](const Coordinate& d, Two now) {
        for (int t = 200; t > 0; t -= 200 / S) {
          const int s = t - 200 / S;
          const double alpha = process.abar[t] / process.abar[s], beta = 1 - alpha;
          const double sigma2 = s == 0  ? 0
                                : large ? beta
                                        : beta * (1 - process.abar[s]) / (1 - process.abar[t]);
          now = now.after([&](double x, double z) {
            return (x - beta / std::sqrt(1 - process.abar[t]) * d.eps(process.at(t), x)) /
                       std::sqrt(alpha) +
                   std::sqrt(sigma2) * z;
          });
        }
        return now;
      });
    }
}

TEST(ExactMoments, OfEulerMaruyamaAreThoseOfItsRecursion) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const std::vector<double> times = uniform_times(1, 1e-3, 150);
  expect_moments(sampling(w, law, plugin("step", "euler-maruyama", {{"steps", 150}})), 1, 150,
                 [&](const Coordinate& d, Two now) {
                   for (int k = 0; k < 150; ++k)
                     now = now.after([&](double x, double z) {
                       return reverse_vp(d, times[k], times[k + 1], x, z);
                     });
                   return now;
                 });
}

TEST(ExactMoments, OfReverseDiffusionAreThoseOfItsRecursionOnALadder) {
  const int L = 30;
  const World w = exact(
      plugin("scheduler", "ncsn-ladder", {{"L", L}, {"sigma_max", 20.0}, {"sigma_min", 0.05}}),
      law);
  const auto sigma = [&](int i) {
    return i == 0 ? 0 : 0.05 * std::pow(400.0, (i - 1) / (L - 1.0));
  };
  for (const bool ode : {false, true})
    expect_moments(sampling(w, law, plugin("step", "reverse-diffusion", {{"ode", ode}})),
                   w.q->prior_std(), L, [&](const Coordinate& d, Two now) {
                     for (int i = L; i >= 1; --i) {
                       const double d2 = std::pow(sigma(i), 2) - std::pow(sigma(i - 1), 2);
                       now = now.after([&](double x, double z) {
                         return x + (ode ? 0.5 : 1) * d2 * d.score({1, sigma(i)}, x) +
                                (ode || i == 1 ? 0 : std::sqrt(d2)) * z;
                       });
                     }
                     return now;
                   });
}

TEST(ExactMoments, OfLangevinWithAFixedStepAreThoseOfItsRecursion) {
  const World w =
      exact(plugin("scheduler", "one-level", {{"sigma", 0.3}, {"prior_std", 3.0}}), law);
  const double e = 0.02;
  const Json config =
      plugin("step", "langevin", {{"rule", "fixed"}, {"eps", e}, {"repeats", 3}, {"steps", 40}});
  expect_moments(sampling(w, law, config), 3, 120, [&](const Coordinate& d, Two now) {
    for (int k = 0; k < 120; ++k)
      now = now.after([&](double x, double z) {
        return x + e * d.score({1, 0.3}, x) + std::sqrt(2 * e) * z;
      });
    return now;
  });
}

TEST(ExactMoments, OfHeunsMethodAreThoseOfItsAffineMap) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const auto velocity = [](const Coordinate& d, double t, double x) {
    return -0.5 * vp_beta(t) * (x + d.score(vp(t), x));
  };
  const std::vector<double> times = uniform_times(1, 1e-3, 25);
  expect_moments(sampling(w, law, plugin("sampler", "pf-ode", {{"solver", "heun"}, {"steps", 25}})),
                 1, 50, [&](const Coordinate& d, Two now) {
                   for (int k = 0; k < 25; ++k)
                     now = now.after([&](double x, double) {
                       const double h = times[k + 1] - times[k], k1 = velocity(d, times[k], x);
                       return x + 0.5 * h * (k1 + velocity(d, times[k + 1], x + h * k1));
                     });
                   return now;
                 });
}

TEST(ExactMoments, OfPredictorAndCorrectorAreThoseOfBothRecursions) {
  const World w = exact(plugin("scheduler", "vp"), law);
  const double e = 1e-3;
  const std::vector<double> times = uniform_times(1, 1e-3, 40);
  const Json corrector =
      plugin("step", "langevin", {{"rule", "fixed"}, {"eps", e}, {"repeats", 2}});
  expect_moments(
      sampling(w, law, predictor_corrector(plugin("step", "euler-maruyama"), corrector, 40)), 1,
      40 * 3 + 1, [&](const Coordinate& d, Two now) {
        for (int k = 0; k < 40; ++k) {
          now = now.after(
              [&](double x, double z) { return reverse_vp(d, times[k], times[k + 1], x, z); });
          for (int j = 0; j < 2; ++j)
            now = now.after([&](double x, double z) {
              return x + e * d.score(vp(times[k + 1]), x) + std::sqrt(2 * e) * z;
            });
        }
        return now.after([&](double x, double) { return d.x0(vp(1e-3), x); });
      });
}

// e = 2 r^2 (E|z| / E|g|)^2; |g| of one Gaussian is folded normal
TEST(ExactMoments, OfTheSignalToNoiseRuleTakeThePopulationsNorms) {
  const Coordinate d{0.7, 0.5};
  const World w = exact(plugin("scheduler", "one-level", {{"sigma", 0.3}, {"prior_std", 3.0}}),
                        gaussian({d.m}, {d.c}));
  const double r = 0.2, v = d.variance({1, 0.3});
  Two now{0, 9};
  for (int k = 0; k < 25; ++k) {
    const double m = (d.m - now.mean) / v, s = std::sqrt(now.variance) / v;
    const double g = s * std::sqrt(2 / M_PI) * std::exp(-m * m / (2 * s * s)) +
                     m * std::erf(m / (s * std::sqrt(2.0)));
    const double e = 2 * r * r * (2 / M_PI) / (g * g);
    now = now.after([&](double x, double z) {
      return x + e * d.score({1, 0.3}, x) + std::sqrt(2 * e) * z;
    });
  }
  Sampling one =
      sampling(w, gaussian({d.m}, {d.c}),
               plugin("step", "langevin", {{"snr", r}, {"alpha", "one"}, {"steps", 25}}));
  const ExactMoments got = exact_moments(one);
  EXPECT_NEAR(got.moments.mean.item<double>(), now.mean, 1e-10);
  EXPECT_NEAR(got.moments.variance.item<double>(), now.variance, 1e-10);
}

TEST(ExactMoments, OfTheSignalToNoiseRuleAreTheLimitOfLargeGroups) {
  World w = exact(plugin("scheduler", "vp"), law);
  const Json config = predictor_corrector(plugin("step", "euler-maruyama"),
                                          plugin("step", "langevin", {{"snr", 0.3}}), 10);
  Sampling s = sampling(w, law, config);
  const ExactMoments got = exact_moments(s);
  s.options.group = 20000;
  const at::Tensor x = draw_samples(s, 0, 20000).x;
  const double n = 20000;
  EXPECT_LT(((x.mean(0) - got.moments.mean).abs() / (got.moments.variance / n).sqrt())
                .max()
                .item<double>(),
            4.5);
  EXPECT_LT(((x.var(0) / got.moments.variance - 1).abs() * std::sqrt(n / 2)).max().item<double>(),
            4.5);
}

// model = 2 data - 1; shape [3, 1, 1]
TEST(ExactMoments, FromTheDiffusedDataInDataUnitsOnAnImage) {
  const World w = exact(plugin("scheduler", "ve", {{"sigma_max", 3.0}}), law, {3, 1, 1});
  Sampling s = sampling(w, law, plugin("step", "ancestral", {{"steps", 1}}),
                        plugin("initial", "marginal"), {2, -1});
  const ExactMoments got = exact_moments(s);
  EXPECT_EQ(got.nfe, 1);
  for (int d = 0; d < 3; ++d) {  // Tweedie's mean of x_T ~ N(m, c^2 + 9): m and c^4/(c^2 + 9)
    const double c2 = data[d].c * data[d].c;
    EXPECT_NEAR(got.moments.mean.view(3)[d].item<double>(), (data[d].m + 1) / 2, 1e-10);
    EXPECT_NEAR(got.moments.variance.view(3)[d].item<double>(), c2 * c2 / (c2 + 9) / 4, 1e-10);
  }
  EXPECT_EQ(got.moments.mean.sizes(), (at::IntArrayRef{3, 1, 1}));
}

/// What it says against this sampling.
std::string refused(Sampling s) {
  try {
    exact_moments(s);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(ExactMoments, AreRefusedWhereTheSamplerOrTheModelIsNotAffine) {
  using testing::HasSubstr;
  const World w = exact(plugin("scheduler", "vp"), law);
  EXPECT_THAT(refused(sampling(w, law, plugin("sampler", "pf-ode", {{"solver", "rk45"}}))),
              HasSubstr("affine"));
  const World mixture = exact(plugin("scheduler", "vp"), three_modes());
  EXPECT_THAT(refused(sampling(mixture, gaussian({0, 0}, {1, 1}),
                               plugin("step", "euler-maruyama", {{"steps", 10}}))),
              HasSubstr("affine"));
  const World turned = exact(plugin("scheduler", "vp"), turned_modes());
  EXPECT_THAT(refused(sampling(turned, gaussian({0, 0}, {1, 1}),
                               plugin("step", "euler-maruyama", {{"steps", 10}}))),
              HasSubstr("affine"));
}

TEST(ExactMoments, AreRefusedWithGroupsAndStartsThatStateNone) {
  using testing::HasSubstr;
  World w = exact(plugin("scheduler", "vp"), law);
  const Json em = plugin("step", "euler-maruyama", {{"steps", 10}});
  for (const char* start : {"uniform", "data"})
    EXPECT_THAT(refused(sampling(w, law, em, plugin("initial", start))),
                HasSubstr("states no moments"))
        << start;
  const Law mixture = three_modes();
  const World two = exact(plugin("scheduler", "vp"), mixture);
  EXPECT_THAT(refused(sampling(two, mixture, em, plugin("initial", "marginal"))),
              HasSubstr("states no moments"));
  w.group = 2;
  EXPECT_THAT(refused(sampling(w, law, em)), HasSubstr("sample.group"));
}

}  // namespace
}  // namespace scorelab::test
