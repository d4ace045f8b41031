#include <gtest/gtest.h>

#include <limits>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

std::shared_ptr<Scheduler> process(const std::string& name, Json params = Json::object()) {
  const Json config = plugin("scheduler", name, std::move(params));
  return world(config, nullptr, {1}).q;
}

void expect_rel(double got, double expected, double tolerance) {
  EXPECT_NEAR(got / expected, 1, tolerance) << got << " for " << expected;
}

/// alpha^2 and the forward kernels of a discrete process are those of its betas, beta[i] for i = 1
/// .. T.
void expect_betas(const Scheduler& q, const std::vector<double>& beta) {
  const auto T = static_cast<int>(beta.size()) - 1;
  ASSERT_EQ(q.levels(), T);
  EXPECT_EQ(q.t_min(), 1.0 / T);
  EXPECT_EQ(q.t_max(), 1);
  EXPECT_EQ(q.prior_std(), 1);
  double abar = 1;
  for (int i = 1; i <= T; ++i) {
    const double t = static_cast<double>(i) / T, s = static_cast<double>(i - 1) / T;
    abar *= 1 - beta[i];
    expect_rel(std::pow(q.alpha(t).one(), 2), abar, 1e-10);
    expect_rel(std::pow(q.sigma(t).one(), 2), 1 - abar, 1e-10);
    const Kernel k = q.kernel(s, t);
    expect_rel(k.sigma2.one(), beta[i], 1e-8);
    expect_rel(std::pow(k.alpha.one(), 2), 1 - beta[i], 1e-10);
    EXPECT_NEAR(q.conditioning(t), i - 1, 1e-9);
  }
}

// Nichol & Dhariwal 2021, equation 17 and below
std::vector<double> cosine_betas(int T, double s = 0.008) {
  const auto f = [&](int i) {
    return std::pow(std::cos((static_cast<double>(i) / T + s) / (1 + s) * std::acos(-1) / 2), 2);
  };
  std::vector<double> beta{0};
  for (int i = 1; i <= T; ++i) beta.push_back(std::min(1 - f(i) / f(i - 1), 0.999));
  return beta;
}

// formulas.md, 2: 0-based beta_0, beta_998, beta_999 and the last abar
TEST(DdpmCosine, HasTheCheckValues) {
  const auto q = process("ddpm-cosine");
  EXPECT_NEAR(q->kernel(0.0, 1e-3).sigma2.one(), 4.12842248e-5, 1e-13);
  EXPECT_NEAR(q->kernel(0.998, 0.999).sigma2.one(), .7499993929, 1e-10);
  EXPECT_NEAR(q->kernel(0.999, 1.0).sigma2.one(), .999, 1e-12);
  expect_rel(std::pow(q->alpha(1.0).one(), 2), 2.42876691e-9, 1e-8);
  const auto fine = process("ddpm-cosine", {{"T", 4000}});
  EXPECT_NEAR(fine->kernel(0.0, 1 / 4000.0).sigma2.one(), 9.86581881e-6, 1e-13);
  expect_rel(std::pow(fine->alpha(1.0).one(), 2), 1.51798046885e-10, 1e-10);  // by long doubles
}

TEST(DdpmCosine, IsTheProductOfItsBetasOfWhichTheLastAloneIsCapped) {
  for (const int T : {10, 1000}) {
    const auto beta = cosine_betas(T);
    EXPECT_EQ(std::count(beta.begin(), beta.end(), 0.999), 1);
    expect_betas(*process("ddpm-cosine", {{"T", T}}), beta);
  }
  expect_betas(*process("ddpm-cosine", {{"T", 100}, {"s", 0.1}}), cosine_betas(100, 0.1));
}

TEST(DdpmQuadratic, HasBetasWhoseRootsAreLinear) {
  for (const auto& [name, first, last] : std::vector<std::tuple<const char*, double, double>>{
           {"ddpm-quadratic", 1e-4, 0.02}, {"scaled-linear", 0.00085, 0.012}}) {
    std::vector<double> beta{0};
    for (int i = 1; i <= 1000; ++i) {
      const double root = ((1000 - i) * std::sqrt(first) + (i - 1) * std::sqrt(last)) / 999;
      beta.push_back(root * root);
    }
    EXPECT_NEAR(beta[1], first, 1e-18);
    EXPECT_NEAR(beta[1000], last, 1e-15);
    expect_betas(*process(name), beta);
  }
}

// abar_999 of 0.00085 .. 0.012, as published pipelines print it: 0.0047
TEST(ScaledLinear, EndsWhereLatentDiffusionDoes) {
  EXPECT_NEAR(std::pow(process("scaled-linear")->alpha(1.0).one(), 2), 0.0046600, 5e-7);
}

TEST(DdpmSigmoid, HasBetasAlongASigmoidFromMinusSixToSix) {
  std::vector<double> beta{0};
  for (int i = 1; i <= 500; ++i) {
    const double e = std::exp(-6 + 12 * (i - 1) / 499.0);
    beta.push_back(1e-4 + (0.02 - 1e-4) * e / (e + 1));
  }
  expect_betas(*process("ddpm-sigmoid", {{"T", 500}}), beta);
}

// Sohl-Dickstein et al. 2015: beta_i = 1/(T - i + 1)
TEST(LinearAlphaBar, ErasesAsMuchOfTheSignalInEachStepUntilNothingIsLeft) {
  const int T = 40;
  const auto q = process("linear-alpha-bar", {{"T", T}});
  ASSERT_EQ(q->levels(), T);
  EXPECT_EQ(q->t_min(), 1.0 / T);
  EXPECT_EQ(q->prior_std(), 1);
  double abar = 1;
  for (int i = 1; i <= T; ++i) {
    const double beta = 1.0 / (T - i + 1), t = static_cast<double>(i) / T,
                 s = static_cast<double>(i - 1) / T;
    const double posterior = beta * (1 - abar) / (1 - abar * (1 - beta));
    abar *= 1 - beta;
    EXPECT_NEAR(std::pow(q->alpha(t).one(), 2), abar, 1e-14);
    EXPECT_NEAR(std::pow(q->sigma(t).one(), 2), 1 - abar, 1e-14);
    EXPECT_NEAR(q->kernel(s, t).sigma2.one(), beta, 1e-13);
    EXPECT_NEAR(std::pow(q->kernel(s, t).alpha.one(), 2), 1 - beta, 1e-13);
    if (i > 1) {
      EXPECT_NEAR(q->posterior_variance(s, t).one(), posterior, 1e-13);
    }
    EXPECT_NEAR(q->conditioning(t), i - 1, 1e-12);
  }
  EXPECT_EQ(q->alpha(1.0).one(), 0) << "exactly";
}

TEST(SubVp, HasTheCheckValuesAndItsDiffusion) {  // formulas.md, 1
  const auto q = process("sub-vp", {{"t_min", 1e-5}});
  EXPECT_NEAR(q->sigma(0.5).one(), .92093618755, 5e-12);
  EXPECT_NEAR(q->alpha(0.5).one(), .28118288080, 5e-12);
  expect_rel(q->sigma(1e-5).one(), 1.0e-6, 2e-3);
  for (const double t : {1e-5, 1e-3, 0.1, 0.5, 1.0}) {
    // 1 - alpha^4
    const double alpha = vp(t).a, gone = -std::expm1(-2 * (0.1 * t + 0.5 * 19.9 * t * t));
    expect_rel(q->alpha(t).one(), alpha, 1e-12);
    expect_rel(q->sigma(t).one(), -std::expm1(-(0.1 * t + 0.5 * 19.9 * t * t)), 1e-12);
    expect_rel(q->f(t).one(), -0.5 * vp_beta(t), 1e-12);
    expect_rel(q->g2(t).one(), vp_beta(t) * gone, 1e-11);
  }
  EXPECT_EQ(q->prior_std(), 1);
  EXPECT_EQ(q->levels(), 0);
  EXPECT_EQ(q->conditioning(0.5), 499.5);
}

// Hang & Gu 2024: lambda(t) = mu - b sgn(1/2 - t) log(1 - 2 |t - 1/2|)
TEST(Laplace, HasTheLogSnrOfItsPaper) {
  for (const auto& [mu, b] : std::vector<std::pair<double, double>>{{0, 0.5}, {1.5, 0.7}}) {
    const auto q = process("laplace", {{"mu", mu}, {"b", b}});
    EXPECT_EQ(q->t_max(), 1 - q->t_min());
    for (const double t : {1e-4, 0.1, 0.4999, 0.5, 0.5001, 0.8, 0.9999}) {
      const double sign = t < 0.5 ? 1 : -1,
                   log_snr = mu - b * sign * std::log(1 - 2 * std::abs(t - 0.5));
      const double alpha = q->alpha(t).one(), sigma = q->sigma(t).one();
      EXPECT_NEAR(2 * std::log(alpha / sigma), log_snr, 1e-11) << t;
      EXPECT_NEAR(alpha * alpha + sigma * sigma, 1, 1e-14);
    }
  }
}

TEST(Laplace, ItsTimesAreQuantilesOfALaplaceLaw) {  // P(log SNR > l) = t
  const double mu = 0.3, b = 0.8;
  const auto q = process("laplace", {{"mu", mu}, {"b", b}});
  for (const double l : {-3.0, 0.0, 0.3, 2.0}) {
    const double below = l < mu ? 0.5 * std::exp((l - mu) / b) : 1 - 0.5 * std::exp(-(l - mu) / b);
    EXPECT_NEAR(q->t_of(l / 2), 1 - below, 1e-9);
  }
}

// Karras et al. 2022, table 1: sigma(t) = t, s(t) = 1, c_noise = log(sigma)/4
TEST(Edm, HasItsFormulas) {
  const auto q = process("edm");
  EXPECT_EQ(q->t_min(), 0.002);
  EXPECT_EQ(q->t_max(), 80);
  EXPECT_EQ(q->prior_std(), 80);
  for (const double t : {0.002, 0.3, 1.0, 80.0}) {
    EXPECT_EQ(q->alpha(t).one(), 1);
    EXPECT_EQ(q->sigma(t).one(), t);
    EXPECT_EQ(q->f(t).one(), 0);
    expect_rel(q->g2(t).one(), 2 * t, 1e-14);
    EXPECT_NEAR(q->conditioning(t), std::log(t) / 4, 1e-14);
  }
  EXPECT_THROW(process("edm", {{"sigma_min", 2.0}, {"sigma_max", 1.0}}), host::PluginError);
}

// x_t = (1 - t) x_0 + t eps: velocity eps - x_0, f = -1/(1 - t), g^2 = 2 t/(1 - t)
TEST(Flow, IsTheStraightPath) {
  const auto q = process("flow");
  for (const double t : {1e-3, 0.25, 0.9, 0.999}) {
    EXPECT_NEAR(q->alpha(t).one(), 1 - t, 1e-15);
    EXPECT_EQ(q->sigma(t).one(), t);
    EXPECT_EQ(q->alpha_slope(t).one(), -1);
    EXPECT_EQ(q->sigma_slope(t).one(), 1);
    expect_rel(q->f(t).one(), -1 / (1 - t), 1e-12);
    expect_rel(q->g2(t).one(), 2 * t / (1 - t), 1e-12);
  }
  EXPECT_EQ(q->t_max(), 1);
  EXPECT_EQ(q->alpha(1.0).one(), 0);
  EXPECT_EQ(q->lambda(1.0).one(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(q->kernel(0.5, 1.0).alpha.one(), 0);
  EXPECT_EQ(q->kernel(0.5, 1.0).sigma2.one(), 1);
  EXPECT_NEAR(process("flow", {{"alpha_min", 0.01}})->t_max(), 0.99, 1e-15);
}

const std::vector<std::string> all{"ddpm-cosine",   "ddpm-quadratic", "ddpm-sigmoid",
                                   "scaled-linear", "sub-vp",         "laplace",
                                   "edm",           "flow",           "linear-alpha-bar"};

/// Times inside of it, from clean to noise.
std::vector<double> inside(const Scheduler& q) {
  std::vector<double> out;
  for (const double u : {0.0123, 0.1234, 0.4321, 0.5671, 0.9123})
    out.push_back(q.t_min() + u * (q.t_max() - q.t_min()));
  return out;
}

TEST(Processes, SlopesAreThoseOfFiniteDifferences) {
  for (const auto& name : all) {
    const auto q = process(name);
    for (const double t : inside(*q)) {
      const double h = 1e-6;
      EXPECT_NEAR(q->alpha_slope(t).one(), (q->alpha(t + h) - q->alpha(t - h)).one() / (2 * h),
                  1e-7)
          << name << " " << t;
      EXPECT_NEAR(q->sigma_slope(t).one(), (q->sigma(t + h) - q->sigma(t - h)).one() / (2 * h),
                  1e-7)
          << name << " " << t;
    }
  }
}

// alpha = 1 + f h, sigma^2 = g^2 h, by differences of second order
TEST(Processes, DriftAndDiffusionAreThoseOfTheKernelOfAShortStep) {
  for (const auto& name : all) {
    const auto q = process(name);
    for (const double t : inside(*q)) {
      const double h = 1e-5;
      const Kernel k = q->kernel(t - h, t + h);
      EXPECT_NEAR(std::log(k.alpha.one()) / (2 * h), q->f(t).one(),
                  1e-5 * std::max(1.0, std::abs(q->f(t).one())))
          << name << " " << t;
      EXPECT_NEAR(k.sigma2.one() / (2 * h), q->g2(t).one(), 1e-3 * std::max(1.0, q->g2(t).one()))
          << name << " " << t;
    }
  }
}

TEST(Processes, KernelsCompose) {
  for (const auto& name : all) {
    const auto q = process(name);
    const double middle = inside(*q)[2], high = q->t_max();
    for (const double r : {0.0, inside(*q)[0]}) {
      const Kernel a = q->kernel(r, middle), b = q->kernel(middle, high), c = q->kernel(r, high);
      EXPECT_NEAR((a.alpha * b.alpha).one(), c.alpha.one(), 1e-12) << name;
      expect_rel((square(b.alpha) * a.sigma2 + b.sigma2).one(), c.sigma2.one(), 1e-12);
      EXPECT_NEAR((a.alpha * q->alpha(r)).one(), q->alpha(middle).one(), 1e-12) << name;
      EXPECT_NEAR((square(a.alpha * q->sigma(r)) + a.sigma2).one(), square(q->sigma(middle)).one(),
                  1e-9)
          << name;
    }
    EXPECT_NEAR(q->kernel(middle, middle).sigma2.one(), 0, 1e-12);
    EXPECT_THROW(q->kernel(middle + 0.01, middle), Error) << name;
  }
}

TEST(Processes, TimeOfLambdaIsItsInverse) {
  for (const auto& name : all) {
    const auto q = process(name);
    for (const double t : inside(*q))
      EXPECT_NEAR(q->t_of(q->lambda(t).one()), t, 1e-9 * q->t_max()) << name;
    EXPECT_NEAR(q->t_of(q->lambda(q->t_min()).one()), q->t_min(), 1e-9) << name;
    EXPECT_NEAR(q->t_of(q->lambda(q->t_max()).one()), q->t_max(), 1e-9 * q->t_max()) << name;
  }
}

TEST(Processes, ZeroIsCleanAndTheRestOfTheOutsideThrows) {
  for (const auto& name : all) {
    const auto q = process(name);
    EXPECT_EQ(q->alpha(0.0).one(), 1) << name;
    EXPECT_EQ(q->sigma(0.0).one(), 0) << name;
    EXPECT_EQ(q->lambda(0.0).one(), std::numeric_limits<double>::infinity()) << name;
    for (const double t : {-0.1, q->t_min() / 2, 1.001 * q->t_max(), static_cast<double>(NAN)}) {
      EXPECT_THROW(q->alpha(t), Error) << name << " " << t;
      EXPECT_THROW(q->sigma(t), Error) << name << " " << t;
    }
    EXPECT_THROW(q->f(0.0), Error) << name;
    EXPECT_THROW(q->sigma_slope(0.0), Error) << name;
  }
}

TEST(Processes, LoseTheirSignalTowardsNoise) {
  for (const auto& name : all) {
    const auto q = process(name);
    double before = std::numeric_limits<double>::infinity();
    for (int k = 0; k <= 200; ++k) {
      const double t = q->t_min() + (q->t_max() - q->t_min()) * k / 200,
                   now = q->lambda(k == 200 ? q->t_max() : t).one();
      EXPECT_LT(now, before) << name << " " << t;
      before = now;
    }
  }
}

}  // namespace
}  // namespace scorelab::test
