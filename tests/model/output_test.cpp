#include <gtest/gtest.h>

#include "testing.h"

namespace scorelab::test {
namespace {

/// The prediction of a network that answers F whatever it sees.
struct Read {
  Read(std::shared_ptr<Scheduler> q, const at::Tensor& x, const Times& t, const at::Tensor& F,
       const OutputOptions& options)
      : setting(std::move(q), std::make_shared<Told>([F](const Input&) { return F; }), options),
        prediction(setting.model()(x, t)) {}
  Fixture setting;
  Prediction prediction;
};

const at::Tensor x = numbers({3, 2}), F = numbers({3, 2}, 1.2);
const double t = 0.4, alpha = 0.8, sigma = 0.2 * std::pow(50, 0.4);

TEST(Output, NamesWhatTheNetworkStates) {
  const std::vector<std::pair<std::string, Quantity>> words{{"eps", Quantity::eps},
                                                            {"x0", Quantity::x0},
                                                            {"v", Quantity::v},
                                                            {"velocity", Quantity::velocity},
                                                            {"score", Quantity::score}};
  for (const auto& [word, quantity] : words) {
    const Read read(std::make_shared<Mixed>(), x, t, F, predicting(word));
    EXPECT_EQ(read.prediction.stated(), quantity);
    EXPECT_EQ(read.setting.model().stated(), quantity);
    EXPECT_TRUE(at::equal(read.prediction.as(quantity), F)) << word;
    EXPECT_TRUE(at::equal(read.setting.network->last_x, x));
    // the process's conditioning
    EXPECT_TRUE(at::equal(read.setting.network->last_time, at::full({3}, t, at::kDouble)));
  }
}

TEST(Output, ScoreOverSigmaIsNcsnsTechnique3) {  // s = F / sigma: Song & Ermon 2020
  const Read read(std::make_shared<Mixed>(), x, t, F, predicting("score-over-sigma"));
  EXPECT_LT(distance(read.prediction.score(), F / sigma), 1e-12);
}

TEST(Output, MeanIsThatOfTheReverseStepOneLevelDown) {
  // mu = alpha_s beta/sigma_t^2 x0 + alpha_ts sigma_s^2/sigma_t^2 x, one of four levels down; at
  // the first level mu is x0.
  const auto q = std::make_shared<Levels>();
  for (const int level : {4, 2, 1}) {
    const auto point = [](double t) {
      return t == 0 ? std::pair(1.0, 0.0) : std::pair(1 - 0.5 * t, 0.2 * std::pow(50, t));
    };
    const auto [a_t, s_t] = point(level / 4.0);
    const auto [a_s, s_s] = point((level - 1) / 4.0);
    const double ratio = a_t / a_s, beta = s_t * s_t - ratio * ratio * s_s * s_s;
    const at::Tensor x0 = numbers({3, 2}, 0.9),
                     mean = a_s * beta / (s_t * s_t) * x0 + ratio * s_s * s_s / (s_t * s_t) * x;
    EXPECT_LT(distance(Read(q, x, level / 4.0, mean, predicting("mean")).prediction.x0(), x0),
              1e-11)
        << level;
  }
}

/// Karras et al. 2022, table 1, on VE-like variables: x/alpha and sigma/alpha.
struct Edm {
  explicit Edm(double ratio, double sd = 0.5)
      : skip(sd * sd / (ratio * ratio + sd * sd)),
        out(ratio * sd / std::sqrt(ratio * ratio + sd * sd)),
        in(1 / std::sqrt(ratio * ratio + sd * sd)),
        noise(std::log(ratio) / 4) {}
  double skip, out, in, noise;
};

TEST(Output, EdmPreconditionsAsKarrasTable1) {
  for (const double sd : {0.5, 1.3}) {
    const Edm c(sigma / alpha, sd);
    const Read read(std::make_shared<Mixed>(), x, t, F, predicting("edm", sd));
    EXPECT_EQ(read.prediction.stated(), Quantity::x0);
    EXPECT_LT(distance(read.prediction.x0(), c.skip * x / alpha + c.out * F), 1e-12);
    EXPECT_LT(distance(read.setting.network->last_x, c.in * x / alpha), 1e-12);
    EXPECT_LT(distance(read.setting.network->last_time, at::full({3}, c.noise, at::kDouble)),
              1e-12);
  }
}

TEST(Output, EdmTakesOneTimeForEachRow) {
  const std::vector<double> times{0.1, 0.5, 1.0};
  const Read read(std::make_shared<Mixed>(), x, Times(times), F, predicting("edm"));
  for (std::int64_t r = 0; r < 3; ++r) {
    const double u = times[static_cast<std::size_t>(r)], a = 1 - 0.5 * u;
    const Edm c(0.2 * std::pow(50, u) / a);
    EXPECT_LT(distance(read.prediction.x0()[r], c.skip * x[r] / a + c.out * F[r]), 1e-12);
    EXPECT_LT(distance(read.setting.network->last_x[r], c.in * x[r] / a), 1e-12);
    EXPECT_NEAR(read.setting.network->last_time[r].item<double>(), c.noise, 1e-12);
  }
}

TEST(Output, EdmsWeightedLossOfAZeroNetworkIsOneAtEveryNoise) {
  // papers.md, O7: lambda(sigma) E |D - x0|^2 = 1 with lambda = (sigma^2 + sd^2)/(sigma sd)^2 where
  // the data's variance is sd^2. D is linear in (x0, eps) here, so the expectation is the sum of
  // the squared coefficients, read off with (1, 0) and (0, 1).
  const double sd = 0.5;
  for (const double u : {0.1, 0.3, 0.7, 1.0}) {
    const double a = 1 - 0.5 * u, s = 0.2 * std::pow(50, u), ratio = s / a;
    const at::Tensor basis = at::tensor({a * sd, s}, at::kDouble).view({2, 1}),
                     zero = at::zeros({2, 1}, at::kDouble);
    const at::Tensor error =
        Read(std::make_shared<Mixed>(), basis, u, zero, predicting("edm", sd)).prediction.x0() -
        at::tensor({sd, 0.0}, at::kDouble).view({2, 1});
    const double lambda = (ratio * ratio + sd * sd) / std::pow(ratio * sd, 2);
    EXPECT_NEAR(lambda * error.square().sum().item<double>(), 1, 1e-12);
  }
}

TEST(Output, ANetworkThatStatesAQuantityIsNotReadTwice) {
  const auto network = std::make_shared<Told>([](const Input&) { return F; }, Quantity::score);
  const Fixture setting(std::make_shared<Mixed>(), network, predicting("edm"));
  EXPECT_TRUE(at::equal(setting.model()(x, t).score(), F));
  EXPECT_TRUE(at::equal(network->last_x, x));
}

}  // namespace
}  // namespace scorelab::test
