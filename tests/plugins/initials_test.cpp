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
  s.model->chunk = rows;
  s.trace = [&](const Times&, const at::Tensor& x) {
    if (!out.defined()) out = x;
  };
  draw_samples(s, first, rows);
  s.model->chunk = 0;
  return out;
}

Sampling from(const World& w, const std::string& initial, Json params = Json::object(), Affine map = {}) {
  return sampling(w, law, plugin("step", "ancestral", {{"steps", 1}}), plugin("initial", initial, std::move(params)), map);
}

const std::int64_t n = 20000;
void expect_normal(const at::Tensor& x, std::int64_t d, double mean, double std) {
  EXPECT_LT(kolmogorov_smirnov((x.select(1, d) - mean).to(at::kDouble) / std, normal_cdf), 1.95) << "element " << d;
}

TEST(Initials, PriorIsTheSchedulersGaussian) {
  for (const auto& [name, std] : std::vector<std::pair<const char*, double>>{{"vp", 1}, {"ve", 50}, {"ddpm-linear", 1}}) {
    const World w = exact(plugin("scheduler", name), law);
    const at::Tensor x = start_of(from(w, "prior"), 0, n), mapped = start_of(from(w, "prior", {}, twice), 0, n);
    for (int d = 0; d < 3; ++d) expect_normal(x, d, 0, std), expect_normal(mapped, d, 0.5, std / 2);
  }
}

TEST(Initials, MarginalIsTheDataDiffusedToTMax) {
  for (const char* name : {"vp", "ve"}) {
    const World w = exact(plugin("scheduler", name, name == std::string("vp") ? Json{{"beta_max", 2.0}} : Json{{"sigma_max", 3.0}}), law);
    const double log_alpha = -0.25 * 1.9 - 0.05;  // VP with beta from 0.1 to 2
    const Point p = name == std::string("vp") ? Point{std::exp(log_alpha), std::sqrt(-std::expm1(2 * log_alpha))} : Point{1, 3};
    for (const Affine map : {Affine{}, twice}) {
      Sampling s = from(w, "marginal", {}, map);
      const at::Tensor x = start_of(s, 0, n) * map.scale + map.shift;
      for (int d = 0; d < 3; ++d) expect_normal(x, d, p.a * data[d].m, std::sqrt(data[d].variance(p)));
      EXPECT_LT(std::abs(correlation(x.select(1, 0) - p.a * 0.7, x.select(1, 1) + p.a * 1.2)), 5 / std::sqrt(n));
    }
  }
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
    for (int d = 0; d < 3; ++d) EXPECT_LT(kolmogorov_smirnov(x.select(1, d), [](double u) { return (u + 8) / 16; }), 1.95);
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
    for (const char* name : {"prior", "marginal", "data", "uniform"}) {
      World w = exact(plugin("scheduler", "vp"), law, {}, dtype);
      const Sampling s = from(w, name);
      const at::Tensor all = start_of(s, 0, 70);
      EXPECT_EQ(all.scalar_type(), dtype);
      for (const std::int64_t size : {1, 7, 64})
        for (std::int64_t first = 0; first < 70; first += size) {
          const std::int64_t rows = std::min<std::int64_t>(size, 70 - first);
          EXPECT_TRUE(same_bits(start_of(s, first, rows), all.narrow(0, first, rows))) << name << ", calls of " << size;
        }
      w.seed = 12;
      EXPECT_FALSE(same_bits(start_of(from(w, name), 0, 70), all)) << name;
    }
}

TEST(Initials, StateTheMomentsOfWhatTheyDraw) {
  const World w = exact(plugin("scheduler", "ve", {{"sigma_max", 3.0}}), law);
  const at::Tensor like = at::empty({1, 3}, at::kDouble);
  for (const auto& [name, shifted, added] : std::vector<std::tuple<const char*, double, double>>{{"prior", 0, 0}, {"marginal", 1, 1}}) {
    const Sampling s = from(w, name);
    const auto moments = std::dynamic_pointer_cast<Initial>(s.options.initial->component())->moments({*w.q, like, {}, {}});
    ASSERT_TRUE(moments);
    for (int d = 0; d < 3; ++d) {
      EXPECT_NEAR(moments->mean[d].item<double>(), shifted * data[d].m, 1e-12);
      EXPECT_NEAR(moments->variance[d].item<double>(), 9 + added * data[d].c * data[d].c, 1e-12);
    }
  }
}

/// Another shape than it was asked for.
class Short final : public Initial {
 public:
  at::Tensor draw(const Start& start, Noise& noise) const override { return noise.normal(start.like.narrow(1, 0, 1)); }
};

TEST(Initials, OfAnotherShapeAreRefused) {
  const World w = exact(plugin("scheduler", "vp"), law);
  Sampling s = from(w, "prior");
  s.options.initial->bind("initial", std::make_shared<Short>());
  EXPECT_THROW(start_of(s, 0, 4), Error);
}

}  // namespace
}  // namespace scorelab::test
