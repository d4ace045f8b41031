#include <gtest/gtest.h>
#include <scorelab/bound.h>
#include <scorelab/dataset.h>
#include <scorelab/metric.h>

#include "formulas.h"
#include "objectives_testing.h"

namespace scorelab::test {
namespace {

/// Answers a mean, A x + b, and behind it the same raw number for the variance of every element.
class TwoParts final : public Network {
 public:
  TwoParts(double a, double raw)
      : a_(at::full({1}, a, at::kDouble)), raw_(at::full({1}, raw, at::kDouble)) {
    a_.requires_grad_(true);
    raw_.requires_grad_(true);
  }
  at::Tensor forward(const Input& in) override {
    return at::cat({a_ * in.x, raw_ * at::ones_like(in.x)}, 1);
  }
  NamedTensors parameters() override { return {{"a", a_}, {"raw", raw_}}; }

 private:
  at::Tensor a_, raw_;
};

World learned(const std::string& how, double raw, int T = 50, std::vector<std::int64_t> shape = {2},
              double a = 0.3) {
  OutputOptions output;
  output.variance = how;
  return world(plugin("scheduler", "ddpm-linear", {{"T", T}}), std::make_shared<TwoParts>(a, raw),
               std::move(shape), at::kDouble, output);
}

/// The posterior's variance at level i; at the first that of the second.
double small(const Ddpm& p, int i) {
  i = std::max(i, 2);
  return p.beta[i] * (1 - p.abar[i - 1]) / (1 - p.abar[i]);
}

std::shared_ptr<Objective> prepared(const World& w, Json params, std::int64_t parts = 2) {
  const Json config = plugin("objective", "ddpm", std::move(params));
  host::check_all(config);
  const auto out = host::make_as<Objective>(config);
  Setting setting = w.setting();
  setting.parts = parts;
  host::prepare(out, config, setting);
  return out;
}

at::Tensor data(std::int64_t rows) {
  return Noise(3, "data").normal(at::empty({rows, 2}, at::kDouble));
}

// Nichol & Dhariwal 2021, equation 15
TEST(LearnedVariance, LiesBetweenThePosteriorsAndTheKernels) {
  const int T = 50;
  const Ddpm process(T);
  for (const double raw : {-1.0, 0.4, 1.0, 1.5}) {
    const World w = learned("learned-range", raw, T), free = learned("learned", raw, T);
    for (const int i : {1, 2, 10, 50}) {
      const double t = static_cast<double>(i) / T, s = static_cast<double>(i - 1) / T,
                   share = (raw + 1) / 2;
      const double range =
          share * std::log(process.beta[i]) + (1 - share) * std::log(small(process, i));
      const Prediction p = w.model()(data(3), t);
      EXPECT_TRUE(p.learns_variance());
      expect_close(p.log_variance(s), at::full({3, 2}, range, at::kDouble));
      expect_close(free.model()(data(3), t).log_variance(s),
                   at::full({3, 2}, std::log(process.beta[i]) + raw, at::kDouble));
      EXPECT_TRUE(p.with(Quantity::x0, p.x0()).learns_variance()) << "guides keep it";
    }
  }
  const World plain = world(
      plugin("scheduler", "ddpm-linear"),
      std::make_shared<TinyNetwork>(at::eye(2, at::kDouble), at::zeros({2}, at::kDouble)), {2});
  EXPECT_THROW(plain.model()(data(3), 0.5).log_variance(0.499), Error);
}

TEST(LearnedVariance, IsWhatTheAncestralStepAdds) {
  const int T = 20;
  const Ddpm process(T);
  const World w = learned("learned-range", 0.4, T);
  const at::Tensor start = w.prior(5),
                   y = w.sample(plugin("step", "ancestral", {{"variance", "learned"}}), start);
  Noise noise = w.noise().stream("predictor");
  at::Tensor x = start;
  for (int i = T; i > 0; --i) {
    const double beta = process.beta[i],
                 log_variance = 0.7 * std::log(beta) + 0.3 * std::log(small(process, i));
    const at::Tensor mean =
        (x - beta / std::sqrt(1 - process.abar[i]) * 0.3 * x) / std::sqrt(1 - beta);
    x = mean + (i > 1 ? std::exp(0.5 * log_variance) : 0.0) * noise.normal(x);
  }
  expect_close(y, x);
}

/// KL(N(m1, v1) || N(m2, v2)) of one dimension.
double kl(double m1, double v1, double m2, double v2) {
  return 0.5 * (std::log(v2 / v1) + (v1 + (m1 - m2) * (m1 - m2)) / v2 - 1);
}

double term(const Ddpm& process, int i, double x0, double x, double eps, double log_variance) {
  const double beta = process.beta[i], abar = process.abar[i], before = process.abar[i - 1];
  const double mean = (x - beta / std::sqrt(1 - abar) * eps) / std::sqrt(1 - beta);
  if (i == 1)
    return 0.5 *
           (std::log(2 * M_PI) + log_variance + (x0 - mean) * (x0 - mean) / std::exp(log_variance));
  const double truth = std::sqrt(before) * beta / (1 - abar) * x0 +
                       std::sqrt(1 - beta) * (1 - before) / (1 - abar) * x;
  return kl(truth, small(process, i), mean, std::exp(log_variance));
}

TEST(DdpmBound, HasTheKullbackLeiblerTermsOfALearnedVariance) {
  const int T = 50;
  const Ddpm process(T);
  const World w = learned("learned-range", 0.4, T);
  const std::vector<int> levels{1, 2, 10, 50};
  const TrainBatch b = batch(w, data(4), Times(std::vector<double>{0.02, 0.04, 0.2, 1.0}));
  const at::Tensor got = loss(w, *prepared(w, {{"weight", "elbo"}}), b).detach();
  const at::Tensor hybrid = loss(w, *prepared(w, {{"vb", 0.001}}), b).detach(),
                   simple = (0.3 * b.x - b.eps).square().mean(1).detach();
  for (std::int64_t r = 0; r < 4; ++r) {
    const int i = levels[static_cast<std::size_t>(r)];
    const double log_variance = 0.7 * std::log(process.beta[i]) + 0.3 * std::log(small(process, i));
    double sum = 0;
    for (std::int64_t d = 0; d < 2; ++d) {
      const double x = b.x[r][d].item<double>();
      sum += term(process, i, b.x0[r][d].item<double>(), x, 0.3 * x, log_variance);
    }
    EXPECT_NEAR(got[r].item<double>() / (T * sum), 1, 1e-8) << i;
    EXPECT_NEAR(hybrid[r].item<double>(),
                simple[r].item<double>() + 0.001 * T * sum / (2 * std::log(2)), 1e-9)
        << i;
  }
}

TEST(DdpmBound, TeachesTheVarianceAloneInTheHybridLoss) {
  const World w = learned("learned-range", 0.4);
  const TrainBatch b = batch(w, data(40), 0.2);
  const auto gradients = [&](Json params) {
    loss(w, *prepared(w, std::move(params)), b).mean().backward();
    std::vector<double> out;
    for (auto& [name, p] : w.parts->network->parameters()) {
      out.push_back(p.grad().defined() ? p.grad().item<double>() : 0);
      const_cast<at::Tensor&>(p).mutable_grad().reset();
    }
    return out;
  };
  const auto simple = gradients({{"weight", "simple"}}),
             hybrid = gradients({{"weight", "simple"}, {"vb", 1.0}}),
             full = gradients({{"weight", "elbo"}});
  EXPECT_EQ(simple[1], 0);
  EXPECT_NEAR(hybrid[0], simple[0], 1e-12);
  EXPECT_NEAR(hybrid[1] * 2 * std::log(2), full[1], 1e-9) << "bits per dimension, of 2";
  EXPECT_GT(std::abs(full[0]), 1e-3);
  expect_gradients(w, *prepared(w, {{"weight", "elbo"}}), b);
}

/// Rombach et al. 2022's code: l_simple_weight L_simple + original_elbo_weight L_elbo, the mean
/// over levels and dimensions in nats; slopes of both terms in the network's one number a, eps = a
/// x.
TEST(DdpmBound, TeachesTheMeanTooInAWeightedSum) {
  const int T = 50, i = 10;
  const Ddpm process(T);
  const double beta = process.beta[i], abar = process.abar[i], before = process.abar[i - 1],
               weight = 2, a = 0.3;
  const World says = learned("learned-range", 0.4, T),
              silent = world(plugin("scheduler", "ddpm-linear", {{"T", T}}),
                             std::make_shared<TinyNetwork>(a * at::eye(2, at::kDouble),
                                                           at::zeros({2}, at::kDouble)),
                             {2});
  const TrainBatch b = batch(says, data(40), static_cast<double>(i) / T);
  // in the mean: x / sqrt(1 - beta) - of_eps eps
  const double of_eps = beta / std::sqrt((1 - abar) * (1 - beta));
  const at::Tensor truth = std::sqrt(before) * beta / (1 - abar) * b.x0 +
                           std::sqrt(1 - beta) * (1 - before) / (1 - abar) * b.x;
  const at::Tensor off = b.x / std::sqrt(1 - beta) - of_eps * a * b.x - truth;
  const double simple = (2 * (a * b.x - b.eps) * b.x).mean().item<double>(),
               elbo = (-of_eps * off * b.x).mean().item<double>();
  for (const bool learns : {true, false}) {
    const World& w = learns ? says : silent;
    const double variance = learns
                                ? std::exp(0.7 * std::log(beta) + 0.3 * std::log(small(process, i)))
                                : small(process, i);
    Json params{{"vb", weight * std::log(2) / T}, {"variance", "small"}};
    if (learns) params["vb_mean"] = true;  // else it has no other choice
    loss(w, *prepared(w, params, learns ? 2 : 1), b).mean().backward();
    const at::Tensor slopes = w.parts->network->parameters()[0].second.grad();
    EXPECT_NEAR((learns ? slopes : slopes.trace()).item<double>(),
                simple + weight * elbo / variance, 1e-9)
        << learns;
    EXPECT_GT(std::abs(weight * elbo / variance), 0.1 * std::abs(simple)) << "it is seen";
  }
}

TEST(LearnedVariance, StaysWhereGradientsAreTaken) {
  const World w = learned("learned-range", 0.4);
  const at::Tensor x = data(3);
  const c10::NoGradGuard guard;
  Model model = w.model();
  const at::Tensor said = model(x, 0.5).log_variance(0.48);
  EXPECT_TRUE(same_bits(model.vjp(x, 0.5, x, Quantity::x0).prediction.log_variance(0.48), said));
  EXPECT_TRUE(same_bits(model.pullback(x, 0.5, Quantity::x0).prediction.log_variance(0.48), said));
  EXPECT_TRUE(model(x, 1.0).log_variance(0.0).isfinite().all().item<bool>())
      << "also of one step from end to end";
}

/// papers.md, O9: data N(0.3, 0.5^2), the exact model: the bound is H + KL_T + a gap that is known.
/// Quadratic in (x0, eps): their four corners have the Gaussians' moments.
TEST(Bound, OfAGaussianExceedsItsEntropyByTheKnownGap) {
  const Law law = gaussian({0.3}, {0.5});
  const double H = 0.5 * std::log(2 * M_PI * std::exp(1.0) * 0.25), m = 0.3, s = 0.5;
  const struct {
    Json scheduler;
    const char* variance;
    double gap, rounded;
  } known[] = {{plugin("scheduler", "ddpm-linear", {{"T", 1000}}), "large", 0.001092, 1.5e-6},
               {plugin("scheduler", "ddpm-cosine", {{"T", 10}}), "large", 0.056881, 1.5e-6},
               {plugin("scheduler", "ddpm-cosine", {{"T", 100}}), "large", 0.006084, 1.5e-6},
               // abar = 1 - i/T, in plain doubles
               {plugin("scheduler", "linear-alpha-bar", {{"T", 40}}), "large", 0.013843, 1e-6},
               {plugin("scheduler", "ddpm-linear", {{"T", 1000}}), "small", 0.57, 0.005},
               {plugin("scheduler", "ddpm-cosine", {{"T", 1000}}), "small", 0.53, 0.005}};
  for (const auto& k : known) {
    const World w = exact(k.scheduler, law);
    const auto T = w.q->levels();
    const at::Tensor x0 = at::tensor({m + s, m + s, m - s, m - s}, at::kDouble).view({4, 1}),
                     eps = at::tensor({1.0, -1.0, 1.0, -1.0}, at::kDouble).view({4, 1});
    const Bound bound(k.variance);
    double total = Bound::prior(*w.q, x0).mean().item<double>();
    const double aT = w.q->alpha(1.0).one(), vT = aT * aT * s * s + 1 - aT * aT;
    const double KL_T = kl(aT * m, vT, 0, 1);
    for (std::int64_t i = 1; i <= T; ++i) {
      const double t = static_cast<double>(i) / static_cast<double>(T);
      const at::Tensor x = w.q->alpha(t) * x0 + w.q->sigma(t) * eps;
      total += bound.term(w.model()(x, t), x0, static_cast<double>(i - 1) / static_cast<double>(T))
                   .mean()
                   .item<double>();
    }
    double gap = 0;
    const auto abar = [&](std::int64_t i) {
      return std::pow(w.q->alpha(static_cast<double>(i) / static_cast<double>(T)).one(), 2);
    };
    for (std::int64_t i = 1; i <= T; ++i) {
      const auto v = [&](std::int64_t k) { return abar(k) * s * s + 1 - abar(k); };
      const auto beta = [&](std::int64_t k) { return 1 - abar(k) / abar(k - 1); };
      const double truth = i == 1 ? s * s * (1 - abar(1)) / v(1) : v(i - 1) * beta(i) / v(i);
      const std::int64_t j = std::max<std::int64_t>(i, 2);
      const double used = k.variance == std::string("large")
                              ? beta(i)
                              : beta(j) * (1 - abar(j - 1)) / (1 - abar(j));
      gap += 0.5 * (truth / used - 1 - std::log(truth / used));
    }
    EXPECT_NEAR(total - H - KL_T, gap, 1e-6) << k.scheduler << " " << k.variance;
    EXPECT_NEAR(total - H - KL_T, k.gap, k.rounded) << k.scheduler << " " << k.variance;
  }
}

/// Ho et al. 2020, equation 13: over all grey levels the discretised Gaussian sums to 1.
TEST(Bound, OfGreyLevelsIsADistributionOverThem) {
  const Json config = plugin("dataset", "digits", {{"range", {-1.0, 1.0}}});
  const auto set = host::make_as<DataSet>(config);
  const World w = exact(plugin("scheduler", "ddpm-linear", {{"T", 100}}), gaussian({0.1}, {0.4}));
  try {
    host::prepare(set, config, w.setting());
  } catch (const Error& e) {
    GTEST_SKIP() << e.what();
  }
  Setting setting = w.setting();
  const DataRange space(*set);
  setting.data = set.get();
  setting.space = &space;
  Bound bound("large");
  bound.prepare(setting);
  at::Tensor levels = at::linspace(-1, 1, 17, at::kDouble).view({17, 1});
  for (const double at_x : {-1.3, 0.2, 0.93}) {
    const Prediction p = w.model()(at::full({17, 1}, at_x, at::kDouble), 0.01);
    const at::Tensor nats = bound.term(p, levels, 0.0);
    EXPECT_NEAR((-nats).exp().sum().item<double>(), 1, 1e-9) << at_x;
    const Prediction mirrored =
        w.model()(at::full({17, 1}, at_x, at::kDouble), 0.01).with(Quantity::x0, -p.x0());
    expect_close(bound.term(mirrored, -levels, 0.0), nats, 1e-9);
    const double mean = p.x0()[0][0].item<double>(), std = std::sqrt(1e-4);  // beta_1
    const auto below = [&](double v) {
      return 0.5 * std::erfc(-(v - mean) / (std * std::sqrt(2.0)));
    };
    const double middle = below(0.0625) - below(-0.0625);
    if (middle > 1e-9) {
      EXPECT_NEAR(std::exp(-bound.term(p, levels, 0.0)[8].item<double>()), middle, 1e-9);
    }
  }
}

/// The metric on draws of the data, in data units: x = 2 y + 1 in the model's. The bound exceeds
/// the entropy by gap and KL_T.
TEST(Vlb, IsTheEntropyAndTheGapForAnExactModel) {
  const double m = 0.3, s = 0.5, scale = 2, shift = 1;
  const Law in_model = gaussian({m}, {s}), in_data = in_model.mapped(1 / scale, -shift / scale);
  const World w = exact(plugin("scheduler", "ddpm-cosine", {{"T", 10}}), in_model);
  const Json config = plugin("metric", "vlb");
  const auto metric = host::make_as<Metric>(config);
  host::prepare(metric, config, w.setting());
  const std::int64_t rows = 20000;
  const at::Tensor y =
      (m + s * Noise(7, "data").normal(at::empty({rows, 1}, at::kDouble)) - shift) / scale;
  const DataRange space({scale, shift}, {1});
  Noise noise(8, "metric");
  Model model = w.model();
  const c10::NoGradGuard guard;
  w.context->counts.reset(rows);
  const auto got = metric->measure({{}, y, &in_data, noise, nullptr, &model, &space});
  ASSERT_EQ(got.size(), 3);
  const double aT = w.q->alpha(1.0).one(), KL_T = kl(aT * m, aT * aT * s * s + 1 - aT * aT, 0, 1);
  const double entropy = 0.5 * std::log(2 * M_PI * std::exp(1.0) * s * s / (scale * scale));
  EXPECT_NEAR(got[0].value, entropy + KL_T + 0.056881, 5 * 0.8 / std::sqrt(rows))
      << "O9; a nat of density in data units";
  EXPECT_EQ(got[0].unit, "nat");
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(rows, 10));
  const auto& terms = *got[2].array;
  EXPECT_EQ(terms.at.size(), 10);
  EXPECT_DOUBLE_EQ(terms.at[9], 1);
  double sum = got[1].value;
  for (const double t : terms.values) sum += t;
  EXPECT_NEAR(sum - std::log(scale), got[0].value, 1e-12);
  EXPECT_GT(terms.values[0], -2);
  for (std::size_t i = 1; i < 10; ++i) EXPECT_GE(terms.values[i], 0) << "a divergence";
}

/// papers.md, O9 and O21: with the true variance of x_s given x_t the bound is the entropy,
/// whatever T, and the bits sent until x_t is known are its mutual information with x_0,
/// ln(v/b^2)/2; the prediction's mean square is s^2 b^2/v. Elements differ, so that their variances
/// may not be mixed up.
TEST(ProgressiveCoding, IsTheRateDistortionCurveOfAGaussian) {
  const int T = 20;
  const std::vector<double> s{0.2, 1.5};
  const Ddpm process(T, 5e-3, 0.6);
  const Law law = gaussian({0.3, -0.1}, s);
  const World w = exact(
      plugin("scheduler", "ddpm-linear", {{"T", T}, {"beta_start", 5e-3}, {"beta_end", 0.6}}), law);
  const std::int64_t rows = 16000;
  const at::Tensor y =
      at::tensor({0.3, -0.1}, at::kDouble) +
      at::tensor(s, at::kDouble) * Noise(7, "data").normal(at::empty({rows, 2}, at::kDouble));
  const auto measured = [&](const Json& config) {
    const auto metric = host::make_as<Metric>(config);
    host::prepare(metric, config, w.setting(&law));
    Noise noise(8, "metric");
    Model model = w.model();
    const c10::NoGradGuard guard;
    w.context->counts.reset(rows);
    return metric->measure({{}, y, &law, noise, nullptr, &model, w.parts->space.get()});
  };
  const auto got =
      measured(plugin("metric", "progressive-coding", {{"variance", "analytic"}, {"after", 15}}));
  const auto &rate = *got[2].array, &rmse = *got[3].array;
  for (int i = 1; i <= T; ++i) {
    double bits = 0, square = 0;
    for (const double c : s) {
      const double b2 = 1 - process.abar[i], v = process.abar[i] * c * c + b2;
      bits += 0.5 * std::log2(v / b2) / 2;
      square += c * c * b2 / v / 2;
    }
    EXPECT_NEAR(rate.values[i - 1], bits, 0.015) << i;  // several standard errors
    EXPECT_NEAR(rmse.values[i - 1], std::sqrt(square), 0.02 * std::sqrt(square)) << i;
  }
  EXPECT_EQ(got[0].value, rate.values[5]) << "x_6 is known after 15 of 20 steps";
  EXPECT_EQ(got[1].value, rmse.values[5]);
  const double aT = std::sqrt(process.abar[T]), bT2 = 1 - process.abar[T];
  const double KL = kl(aT * 0.3, aT * aT * s[0] * s[0] + bT2, 0, 1) +
                    kl(aT * -0.1, aT * aT * s[1] * s[1] + bT2, 0, 1);
  double entropy = 0;
  for (const double c : s) entropy += 0.5 * std::log(2 * M_PI * std::exp(1.0) * c * c);
  EXPECT_NEAR(measured(plugin("metric", "vlb", {{"variance", "analytic"}}))[0].value, entropy + KL,
              0.03);
  EXPECT_GT(measured(plugin("metric", "vlb"))[0].value, entropy + KL + 0.1) << "no gap to see";
}

}  // namespace
}  // namespace scorelab::test
