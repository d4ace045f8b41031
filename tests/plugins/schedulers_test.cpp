#include <gtest/gtest.h>
#include <scorelab/dataset.h>

#include <algorithm>
#include <numeric>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

std::shared_ptr<Scheduler> process(const char* name, Json params = Json::object()) {
  return world(plugin("scheduler", name, std::move(params)), nullptr, {1}).q;
}

void expect_rel(double got, double expected, double tolerance) {
  EXPECT_NEAR(got / expected, 1, tolerance) << got << " for " << expected;
}

TEST(Vp, HasTheCheckValues) {  // formulas.md, 1: VP with beta from 0.1 to 20
  const auto q = process("vp");
  const double values[][3] = {{1e-3, .99994502651, .01048541634},
                              {.5, .28118288080, .95965420207},
                              {1, .00657158649, .99997840689}};
  for (const auto& [t, alpha, sigma] : values) {
    EXPECT_NEAR(q->alpha(t).one(), alpha, 5e-12);
    EXPECT_NEAR(q->sigma(t).one(), sigma, 5e-12);
  }
  EXPECT_NEAR((q->sigma(1.0) / q->alpha(1.0)).one(), 152.166970, 5e-7);
  EXPECT_EQ(q->t_min(), 1e-3);
  EXPECT_EQ(q->prior_std(), 1);
  EXPECT_EQ(q->levels(), 0);
  EXPECT_EQ(q->conditioning(0.5), 499.5);  // 999 t
}

// f = -beta/2, g^2 = beta: Song et al. 2021, equation 32; near t = 0 too, where sigma^2 cancels
TEST(Vp, DriftAndDiffusionAreBetas) {
  const auto q = process("vp", {{"t_min", 1e-5}});
  for (const double t : {1e-5, 1e-3, 0.3, 1.0}) {
    expect_rel(q->f(t).one(), -0.5 * vp_beta(t), 1e-13);
    expect_rel(q->g2(t).one(), vp_beta(t), 1e-12);
  }
}

TEST(Ve, HasItsFormulas) {
  const auto q = process("ve");
  for (const double t : {1e-5, 0.3, 1.0}) {
    EXPECT_EQ(q->alpha(t).one(), 1);
    expect_rel(q->sigma(t).one(), ve(t).b, 1e-12);
    EXPECT_EQ(q->f(t).one(), 0);
    // diffusion sigma sqrt(2 ln 5000)
    expect_rel(q->g2(t).one() / std::pow(ve(t).b, 2), 4.12727348 * 4.12727348, 1e-8);
    expect_rel(q->conditioning(t), std::log(ve(t).b), 1e-12);
  }
  EXPECT_EQ(q->prior_std(), 50);
  EXPECT_EQ(q->t_min(), 1e-5);
}

// formulas.md, 1: 0-based abar_0, abar_999, sigma_0, sigma_999
TEST(DdpmLinear, HasTheCheckValues) {
  const auto q = process("ddpm-linear");
  expect_rel(std::pow(q->alpha(1e-3).one(), 2), .9999, 1e-12);
  expect_rel(std::pow(q->alpha(1.0).one(), 2), 4.03582977e-5, 1e-8);
  expect_rel((q->sigma(1e-3) / q->alpha(1e-3)).one(), .0100005000, 1e-8);
  expect_rel((q->sigma(1.0) / q->alpha(1.0)).one(), 157.407281, 1e-8);
  EXPECT_EQ(q->levels(), 1000);
  EXPECT_EQ(q->conditioning(1.0), 999);
}

TEST(DdpmLinear, IsTheProductOfItsBetasAtEachLevelAndTheirKernelsBetween) {
  const auto q = process("ddpm-linear");
  const Ddpm ddpm(1000);
  for (int i = 1; i <= 1000; ++i) {
    expect_rel(std::pow(q->alpha(i / 1000.0).one(), 2), ddpm.abar[i], 1e-11);
    const Kernel k = q->kernel((i - 1) / 1000.0, i / 1000.0);
    expect_rel(k.sigma2.one(), ddpm.beta[i], 1e-9);
    expect_rel(std::pow(k.alpha.one(), 2), 1 - ddpm.beta[i], 1e-11);
    EXPECT_NEAR(q->level_below(i / 1000.0), (i - 1) / 1000.0, 1e-15);
  }
}

TEST(DdpmLinear, IsLogLinearBetweenLevels) {
  const auto q = process("ddpm-linear", {{"T", 10}, {"beta_end", 0.3}});
  const Ddpm ddpm(10, 1e-4, 0.3);
  for (int i = 1; i < 10; ++i)
    for (const double part : {0.25, 0.5, 0.9}) {
      const double t = (i + part) / 10, log_abar = (1 - part) * std::log(ddpm.abar[i]) +
                                                   part * std::log(ddpm.abar[i + 1]);
      expect_rel(q->alpha(t).one(), std::exp(0.5 * log_abar), 1e-12);
      // beta of the level above, a level being 1/10
      expect_rel(q->f(t).one(), 10 * 0.5 * std::log1p(-ddpm.beta[i + 1]), 1e-9);
      expect_rel(q->g2(t).one(), -10 * std::log1p(-ddpm.beta[i + 1]), 1e-9);
    }
}

TEST(NcsnLadder, IsAGeometricLadder) {
  const auto q = process("ncsn-ladder");
  for (int i = 1; i <= 10; ++i) {
    // 0.01 .. 1
    expect_rel(q->sigma(i / 10.0).one(), std::pow(10.0, -2 + 2 * (i - 1) / 9.0), 1e-12);
    EXPECT_EQ(q->alpha(i / 10.0).one(), 1);
  }
  EXPECT_EQ(q->levels(), 10);
  EXPECT_EQ(q->prior_std(), 1);
  EXPECT_NEAR(process("ncsn-ladder", {{"L", 1}, {"sigma_max", 0.7}})->sigma(1.0).one(), 0.7, 1e-15);
}

TEST(NcsnLadder, BeginsAtTheLargestDistanceOfTheDataByTechnique1) {
  const Json config = plugin("dataset", "digits", {{"range", {-1.0, 1.0}}});
  const auto data = host::make_as<DataSet>(config);
  const World w = world(plugin("scheduler", "vp"), nullptr, {1, 8, 8});
  try {
    host::prepare(data, config, w.setting());
  } catch (const Error& e) {
    GTEST_SKIP() << e.what();
  }
  std::vector<std::int64_t> all(1797);
  std::iota(all.begin(), all.end(), 0);
  Noise none(0, "none");
  Condition labels;
  // black and white are 2 apart
  const at::Tensor x = data->get(all, none, labels).flatten(1).to(at::kDouble).contiguous() * 2;
  const double* v = x.const_data_ptr<double>();
  double largest = 0;
  for (int i = 0; i < 1797; ++i)
    for (int j = 0; j < i; ++j) {
      double square = 0;
      for (int d = 0; d < 64; ++d)
        square += (v[i * 64 + d] - v[j * 64 + d]) * (v[i * 64 + d] - v[j * 64 + d]);
      largest = std::max(largest, square);
    }
  const Json ladder = plugin("scheduler", "ncsn-ladder", {{"sigma_max", "data"}});
  const auto q = host::make_as<Scheduler>(ladder);
  host::check_all(ladder);
  Setting setting = w.setting();
  const DataRange space(*data);
  setting.data = data.get();
  setting.space = &space;
  host::prepare(q, ladder, setting);
  EXPECT_NEAR(q->prior_std(), std::sqrt(largest), 1e-6);
  EXPECT_NEAR(q->sigma(1.0).one(), std::sqrt(largest), 1e-6);
  EXPECT_NEAR(q->sigma(0.1).one(), 0.01, 1e-12);
}

// formulas.md, 5: C = 0.5 needs 219, 472 and 2182 levels
TEST(NcsnLadder, HasTheLevelsOfNcsnv2sTechnique2) {
  const struct {
    std::int64_t dim, levels;
    double top;
  } papers[] = {{3072, 219, 50}, {12288, 472, 90}, {196608, 2182, 348}};
  for (const auto& p : papers) {
    const auto q =
        world(plugin("scheduler", "ncsn-ladder", {{"overlap", 0.5}, {"sigma_max", p.top}}), nullptr,
              {p.dim})
            .q;
    EXPECT_EQ(q->levels(), p.levels);
    const double n = static_cast<double>(p.levels),
                 ratio = (q->sigma(1.0) / q->sigma(1 - 1 / n)).one(),
                 shift = std::sqrt(2 * static_cast<double>(p.dim)) * (ratio - 1);
    const auto normal = [](double x) { return 0.5 * (1 + std::erf(x / std::sqrt(2.0))); };
    // a whole number of levels
    EXPECT_NEAR(normal(shift + 3 * ratio) - normal(shift - 3 * ratio), 0.5, 2e-3);
  }
  EXPECT_EQ(process("ncsn-ladder", {{"overlap", 0.0}})->levels(), 10);
}

TEST(OneLevel, StandsStillAndMayBeClean) {
  EXPECT_EQ(process("one-level", {{"sigma", 0.3}})->sigma(1.0).one(), 0.3);
  EXPECT_EQ(process("one-level", {{"sigma", 0.0}})->sigma(1.0).one(), 0);
  EXPECT_EQ(process("one-level", {{"prior_std", 2.0}})->prior_std(), 2);
}

const std::vector<std::string> paths{"vp", "ve", "ddpm-linear", "ncsn-ladder"};

TEST(Schedulers, SlopesAreThoseOfFiniteDifferences) {
  for (const auto& name : paths) {
    const auto q = process(name.c_str());
    for (const double t : {0.1234, 0.5671, 0.9123}) {
      const double h = 1e-6;
      EXPECT_NEAR(q->alpha_slope(t).one(), (q->alpha(t + h) - q->alpha(t - h)).one() / (2 * h),
                  1e-7)
          << name;
      expect_rel(q->sigma_slope(t).one(), (q->sigma(t + h) - q->sigma(t - h)).one() / (2 * h),
                 1e-6);
    }
  }
}

TEST(Schedulers, KernelsCompose) {
  for (const auto& name : paths) {
    const auto q = process(name.c_str());
    for (const double r : {0.0, 0.2}) {
      const Kernel a = q->kernel(r, 0.5), b = q->kernel(0.5, 0.9), c = q->kernel(r, 0.9);
      expect_rel((a.alpha * b.alpha).one(), c.alpha.one(), 1e-12);
      expect_rel((square(b.alpha) * a.sigma2 + b.sigma2).one(), c.sigma2.one(), 1e-12);
    }
    EXPECT_NEAR(q->kernel(0.5, 0.5).sigma2.one(), 0, 1e-15);
    EXPECT_THROW(q->kernel(0.6, 0.5), Error);
  }
}

TEST(Schedulers, ZeroIsCleanAndTheRestOfTheOutsideThrows) {
  for (const auto& name : paths) {
    const auto q = process(name.c_str());
    EXPECT_EQ(q->alpha(0.0).one(), 1) << name;
    EXPECT_EQ(q->sigma(0.0).one(), 0) << name;
    EXPECT_EQ(q->lambda(0.0).one(), INFINITY) << name;
    for (const double t : {-0.1, q->t_min() / 2, 1.001, static_cast<double>(NAN)}) {
      EXPECT_THROW(q->alpha(t), Error) << name << " " << t;
      EXPECT_THROW(q->sigma(t), Error) << name << " " << t;
    }
    EXPECT_THROW(q->f(0.0), Error);
    EXPECT_THROW(q->g2(0.0), Error);
    EXPECT_THROW(q->sigma_slope(0.0), Error);
    EXPECT_THROW(q->alpha_slope(0.0), Error);
    EXPECT_THROW(q->sigma(Times({0.5, 2.0})), Error);
  }
}

TEST(Schedulers, TimeOfLambdaIsItsInverse) {
  for (const auto& name : paths) {
    const auto q = process(name.c_str());
    for (const double t : {q->t_min(), 0.21, 0.5, 0.77, 1.0})
      EXPECT_NEAR(q->t_of(q->lambda(t).one()), t, 1e-9) << name;
    EXPECT_THROW(q->t_of(q->lambda(1.0).one() - 1), Error);
    EXPECT_THROW(q->t_of(q->lambda(q->t_min()).one() + 1), Error);
  }
}

TEST(Schedulers, RefuseRangesThatAreNone) {
  EXPECT_THROW(process("ve", {{"sigma_min", 2.0}, {"sigma_max", 1.0}}), host::PluginError);
  EXPECT_THROW(process("vp", {{"beta_min", 2.0}, {"beta_max", 1.0}}), host::PluginError);
  EXPECT_THROW(process("ncsn-ladder", {{"sigma_min", 2.0}, {"sigma_max", 1.0}}), host::PluginError);
}

}  // namespace
}  // namespace scorelab::test
