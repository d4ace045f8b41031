#include <gtest/gtest.h>

#include "formulas.h"
#include "sampling_testing.h"
#include "statistics.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});
const Affine twice{2, -1};  // model = 2 data - 1, as images in [0, 1] for a model in [-1, 1]

/// What a call draws at its start, in data units: the first point of its path.
at::Tensor start_of(Sampling s, std::int64_t first, std::int64_t rows) {
  at::Tensor out;
  s.context.chunk = rows;
  s.trace = [&](const Times&, const at::Tensor& x) {
    if (!out.defined()) out = x;
  };
  draw_samples(s, first, rows);
  return out;
}

Sampling from(const World& w, const std::string& initial, Json params = Json::object(),
              Affine map = {}) {
  return sampling(w, law, plugin("step", "ancestral", {{"steps", 1}}),
                  plugin("initial", initial, std::move(params)), map);
}

const std::int64_t n = 20000;
void expect_normal(const at::Tensor& x, std::int64_t d, double mean, double std) {
  EXPECT_LT(kolmogorov_smirnov((x.select(1, d) - mean).to(at::kDouble) / std, normal_cdf), 1.95)
      << "element " << d;
}

TEST(Initials, PriorIsTheSchedulersGaussian) {
  for (const auto& [name, std] :
       std::vector<std::pair<const char*, double>>{{"vp", 1}, {"ve", 50}, {"ddpm-linear", 1}}) {
    const World w = exact(plugin("scheduler", name), law);
    const at::Tensor x = start_of(from(w, "prior"), 0, n),
                     mapped = start_of(from(w, "prior", {}, twice), 0, n);
    for (int d = 0; d < 3; ++d) {
      expect_normal(x, d, 0, std);
      expect_normal(mapped, d, 0.5, std / 2);
    }
  }
}

TEST(Initials, MarginalIsTheDataDiffusedToTMax) {
  for (const char* name : {"vp", "ve"}) {
    const World w = exact(
        plugin("scheduler", name,
               name == std::string("vp") ? Json{{"beta_max", 2.0}} : Json{{"sigma_max", 3.0}}),
        law);
    const double log_alpha = -0.25 * 1.9 - 0.05;  // VP with beta from 0.1 to 2
    const Point p = name == std::string("vp")
                        ? Point{std::exp(log_alpha), std::sqrt(-std::expm1(2 * log_alpha))}
                        : Point{1, 3};
    for (const Affine map : {Affine{}, twice}) {
      Sampling s = from(w, "marginal", {}, map);
      const at::Tensor x = start_of(s, 0, n) * map.scale + map.shift;
      for (int d = 0; d < 3; ++d)
        expect_normal(x, d, p.a * data[d].m, std::sqrt(data[d].variance(p)));
      EXPECT_LT(std::abs(correlation(x.select(1, 0) - p.a * 0.7, x.select(1, 1) + p.a * 1.2)),
                5 / std::sqrt(n));
    }
  }
}

TEST(Initials, MarginalIsThatOfTheTimeWhereTheSamplerStarts) {
  const World w = exact(plugin("scheduler", "ve", {{"sigma_max", 3.0}}), law);
  const Json grid{{"steps", 1}, {"from", 0.5}};
  for (const Json& sampler :
       {plugin("step", "ancestral", grid), plugin("sampler", "pf-ode", grid),
        plugin("sampler", "edm-heun", grid),
        plugin("sampler", "predictor-corrector",
               {{"steps", 1}, {"from", 0.5}, {"predictor", plugin("step", "ancestral")}})}) {
    Sampling s = sampling(w, law, sampler, plugin("initial", "marginal"));
    const at::Tensor x = start_of(s, 0, n);
    const double sigma = 0.01 * std::pow(300.0, 0.5);  // VE from 0.01 to 3, halfway
    for (int d = 0; d < 3; ++d)
      expect_normal(x, d, data[d].m, std::sqrt(data[d].c * data[d].c + sigma * sigma));
    double t = -1;
    s.trace = [&](const Times& now, const at::Tensor&) { t = t < 0 ? now.one() : t; };
    draw_samples(s, 0, 1);
    EXPECT_EQ(t, 0.5) << sampler["plugin"];
  }
}

TEST(Initials, MarginalOfLeadingLevelsIsThatOfTheFirst) {
  const World w = exact(
      plugin("scheduler", "ddpm-linear", {{"T", 10}, {"beta_start", 0.02}, {"beta_end", 0.2}}),
      law);
  Sampling s = sampling(w, law, plugin("step", "ddim", {{"steps", 2}, {"spacing", "leading"}}),
                        plugin("initial", "marginal"));
  double alpha_bar = 1;
  // leading strides of 5 over ten levels: 1 and 6
  for (int i = 0; i < 6; ++i) alpha_bar *= 1 - (0.02 + 0.02 * i);
  const at::Tensor x = start_of(s, 0, n);
  for (int d = 0; d < 3; ++d)
    expect_normal(x, d, std::sqrt(alpha_bar) * data[d].m,
                  std::sqrt(alpha_bar * data[d].c * data[d].c + 1 - alpha_bar));
}

at::Tensor between(const World& w, Json params, double from, std::int64_t rows) {
  return start_of(sampling(w, law, plugin("sampler", "pf-ode", {{"steps", 1}, {"from", from}}),
                           plugin("initial", "interpolation", std::move(params))),
                  0, rows);
}

TEST(Initials, InterpolationGoesStraightBetweenTwoDiffusedDraws) {
  const World w = exact(plugin("scheduler", "ve", {{"sigma_max", 3.0}}), law);
  const std::int64_t points = 5, pairs = 6000;
  const at::Tensor x =
      between(w, {{"points", points}}, 0.5, points * pairs).view({pairs, points, 3});
  const at::Tensor a = x.select(1, 0), b = x.select(1, 4);
  for (std::int64_t k = 1; k < 4; ++k)
    EXPECT_LT(
        (x.select(1, k) - (a * (4.0 - static_cast<double>(k)) + b * static_cast<double>(k)) / 4.0)
            .abs()
            .max()
            .item<double>(),
        1e-12);
  const double sigma = 0.01 * std::pow(300.0, 0.5);
  for (int d = 0; d < 3; ++d) {
    const double std = std::sqrt(data[d].c * data[d].c + sigma * sigma);
    expect_normal(a, d, data[d].m, std);
    expect_normal(b, d, data[d].m, std);
    EXPECT_LT(std::abs(correlation(a.select(1, d) - data[d].m, b.select(1, d) - data[d].m)),
              5 / std::sqrt(pairs));
    const at::Tensor own = a.select(1, d) - data[d].m;
    EXPECT_LT(std::abs(correlation(own.narrow(0, 0, pairs - 1), own.narrow(0, 1, pairs - 1))),
              5 / std::sqrt(pairs));
  }
}

TEST(Initials, InterpolationAlongTheSphereTurnsAtOneRate) {
  const World w = exact(plugin("scheduler", "ve", {{"sigma_max", 3.0}}), law);
  const std::int64_t points = 5, pairs = 6000;
  const at::Tensor x = between(w, {{"points", points}, {"between", "prior"}, {"path", "spherical"}},
                               1.0, points * pairs)
                           .view({pairs, points, 3});
  const auto angle = [](const at::Tensor& p, const at::Tensor& q) {
    return at::cross(p, q, 1).norm(2, 1).atan2((p * q).sum(1));
  };
  const at::Tensor a = x.select(1, 0), b = x.select(1, 4), whole = angle(a, b);
  for (int d = 0; d < 3; ++d) {
    expect_normal(a, d, 0, 3);
    expect_normal(b, d, 0, 3);
  }
  const auto length = [](const at::Tensor& p) { return p.norm(2, 1, true); };
  const at::Tensor e = a / length(a), up = b / length(b) - (b / length(b) * e).sum(1, true) * e,
                   f = up / length(up);
  // Of unit ends the point at the share u is cos(u t) e + sin(u t) f; the ends' lengths scale their
  // parts.
  for (std::int64_t k = 1; k < 4; ++k) {
    const double u = static_cast<double>(k) / 4;
    const at::Tensor t = whole.unsqueeze(1), unit_b = e * t.cos() + f * t.sin();
    const at::Tensor on_unit = e * (u * t).cos() + f * (u * t).sin();  // = p e + q unit_b
    const at::Tensor q = (on_unit * f).sum(1, true) / (unit_b * f).sum(1, true),
                     p = (on_unit * e).sum(1, true) - q * (unit_b * e).sum(1, true);
    const at::Tensor expected = p * a + q * b;
    EXPECT_LT(((x.select(1, k) - expected).abs() / (1 + expected.abs())).max().item<double>(), 1e-6)
        << u;
  }
}

TEST(Initials, InterpolationOfNumbersIsStraight) {
  const Law one = gaussian({0.0}, {1.0});
  const World w = exact(plugin("scheduler", "ve", {{"sigma_max", 3.0}}), one);
  const Json spherical = plugin("initial", "interpolation",
                                {{"points", 3}, {"between", "prior"}, {"path", "spherical"}});
  const at::Tensor x =
      start_of(sampling(w, one, plugin("step", "ancestral", {{"steps", 1}}), spherical), 0, 300)
          .view({100, 3});
  EXPECT_LT((x.select(1, 1) - (x.select(1, 0) + x.select(1, 2)) / 2).abs().max().item<double>(),
            1e-12);
}

TEST(Initials, InterpolationTakesNoRecordedNoise) {
  const World w = exact(plugin("scheduler", "ve"), law);
  Sampling s = from(w, "interpolation", {{"between", "prior"}});
  s.recorded = at::zeros({9, 4, 3}, at::kDouble);
  EXPECT_THROW(start_of(s, 0, 4), Error);
}

TEST(Initials, DataAreCleanDraws) {
  const World w = exact(plugin("scheduler", "ve"), law);
  for (const Affine map : {Affine{}, twice}) {
    const at::Tensor x = start_of(from(w, "data", {}, map), 0, n) * map.scale + map.shift;
    for (int d = 0; d < 3; ++d) expect_normal(x, d, data[d].m, data[d].c);
  }
}

TEST(Initials, UniformIsABoxInDataUnits) {
  const World w = exact(plugin("scheduler", "ve"), law);
  for (const Affine map : {Affine{}, twice}) {
    const at::Tensor x = start_of(from(w, "uniform", {{"low", -8.0}, {"high", 8.0}}, map), 0, n);
    for (int d = 0; d < 3; ++d)
      EXPECT_LT(kolmogorov_smirnov(x.select(1, d), [](double u) { return (u + 8) / 16; }), 1.95);
    EXPECT_LE(x.abs().max().item<double>(), 8 + 1e-12);
    const at::Tensor unit = start_of(from(w, "uniform", {}, map), 0, n);
    EXPECT_GE(unit.min().item<double>(), -1e-12);
    EXPECT_LE(unit.max().item<double>(), 1 + 1e-12);
    EXPECT_LT(kolmogorov_smirnov(unit, [](double u) { return u; }), 1.95);
  }
  EXPECT_THROW(from(w, "uniform", {{"low", 1.0}}), host::PluginError);
}

TEST(Initials, HaveTheSameBitsWhateverTheChunkAndAFunctionOfTheSeed) {
  for (const auto dtype : {at::kDouble, at::kFloat})
    for (const char* name : {"prior", "marginal", "data", "uniform", "interpolation"}) {
      World w = exact(plugin("scheduler", "vp"), law, {}, dtype);
      const Sampling s = from(w, name);
      const at::Tensor all = start_of(s, 0, 70);
      EXPECT_EQ(all.scalar_type(), dtype);
      for (const std::int64_t size : {1, 7, 64})
        for (std::int64_t first = 0; first < 70; first += size) {
          const std::int64_t rows = std::min<std::int64_t>(size, 70 - first);
          EXPECT_TRUE(same_bits(start_of(s, first, rows), all.narrow(0, first, rows)))
              << name << ", calls of " << size;
        }
      w.seed = 12;
      EXPECT_FALSE(same_bits(start_of(from(w, name), 0, 70), all)) << name;
    }
}

TEST(Initials, StateTheMomentsOfWhatTheyDraw) {
  const World w = exact(plugin("scheduler", "vp", {{"beta_max", 2.0}}), law);
  const at::Tensor like = at::empty({1, 3}, at::kDouble);
  // VP with beta from 0.1 to 2, halfway
  const double t = 0.5, a2 = std::exp(-0.1 * t - 0.95 * t * t);
  const auto stated = [&](const char* name) {
    const Sampling s = from(w, name);
    return std::dynamic_pointer_cast<Initial>(s.options.initial->component())
        ->moments({*w.q, t, 0, like, {}, DataRange({}, w.shape)})
        .value();
  };
  const Moments prior = stated("prior"), marginal = stated("marginal");
  for (int d = 0; d < 3; ++d) {
    EXPECT_EQ(prior.mean[d].item<double>(), 0);
    EXPECT_NEAR(prior.variance[d].item<double>(), 1, 1e-12);
    EXPECT_NEAR(marginal.mean[d].item<double>(), std::sqrt(a2) * data[d].m, 1e-12);
    EXPECT_NEAR(marginal.variance[d].item<double>(), a2 * data[d].c * data[d].c + 1 - a2, 1e-12);
  }
}

/// Another shape than it was asked for.
class Short final : public Initial {
 public:
  at::Tensor draw(const Start& start, Noise& noise) const override {
    return noise.normal(start.like.narrow(1, 0, 1));
  }
};

TEST(Initials, OfAnotherShapeAreRefused) {
  const World w = exact(plugin("scheduler", "vp"), law);
  Sampling s = from(w, "prior");
  s.options.initial->bind("initial", std::make_shared<Short>());
  EXPECT_THROW(start_of(s, 0, 4), Error);
}

}  // namespace
}  // namespace scorelab::test
