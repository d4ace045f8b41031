#include <gtest/gtest.h>
#include <scorelab/guide.h>

#include <cmath>
#include <limits>

#include "formulas.h"
#include "sampling_testing.h"

namespace scorelab::test {
namespace {

/// What the host binds for a sampling call whose clean companions are `clean`.
void bind(const World& w, const at::Tensor& clean = {}) {
  for (auto& g : w.context->guides) {
    g.call = std::make_shared<GuideRun::Call>();
    g.call->noise.emplace(w.seed, "guide");
    g.call->clean = [clean]() -> const at::Tensor& { return clean; };
  }
}

struct Class {
  double weight, mean, std;
};
const std::vector<Class> classes{{0.3, -1, 0.5}, {0.7, 1, 0.4}};

double normal(double x, double mean, double variance) {
  return std::exp(-0.5 * (x - mean) * (x - mean) / variance) / std::sqrt(variance);
}

/// The score of class k, or of the mixture (k < 0), in plain doubles.
double class_score(Point p, double x, int k, const std::vector<Class>& law = classes) {
  double density = 0, slope = 0;
  for (int j = 0; j < 2; ++j) {
    if (k >= 0 && j != k) continue;
    const Class& c = law[static_cast<std::size_t>(j)];
    const double v = p.a * p.a * c.std * c.std + p.b * p.b,
                 d = c.weight * normal(x, p.a * c.mean, v);
    density += d;
    slope += d * -(x - p.a * c.mean) / v;
  }
  return slope / density;
}

World two_classes(const std::vector<Class>& law = classes) {
  at::Tensor weights = at::empty({2}, at::kDouble), means = at::empty({2, 1}, at::kDouble),
             variances = at::empty({2, 1}, at::kDouble);
  for (int k = 0; k < 2; ++k) {
    const Class& c = law[static_cast<std::size_t>(k)];
    weights[k] = c.weight;
    means[k] = c.mean;
    variances[k] = c.std * c.std;
  }
  return exact(plugin("scheduler", "vp"), {weights, means, variances, {}}, {}, at::kDouble,
               {{"labels", true}});
}

TEST(ClassifierFree, IsTheWeightedSumOfTheScoresWithAndWithoutLabels) {
  const c10::NoGradGuard guard;
  const double t = 0.4;
  const Point p = vp(t);
  const std::vector<int> label{0, 1, -1, 1, 0};
  const at::Tensor x = at::tensor({-0.7, -0.2, 0.1, 0.6, 1.3}, at::kDouble).view({5, 1});
  for (const double scale : {0.0, 0.5, 1.0, 3.0}) {
    const World w = two_classes();
    w.add_guide("classifier-free", {{"scale", scale}});
    w.context->condition["label"] = at::tensor(label, at::kLong);
    w.context->chunk = 2;
    w.context->counts.reset(5);
    const at::Tensor score = w.model()(x, t).score();
    for (int r = 0; r < 5; ++r) {
      const double at_x = x[r][0].item<double>(), bare = class_score(p, at_x, -1),
                   told = class_score(p, at_x, label[static_cast<std::size_t>(r)]);
      EXPECT_NEAR(score[r][0].item<double>(), bare + scale * (told - bare), 1e-10)
          << scale << ", row " << r;
    }
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(5, scale == 0 || scale == 1 ? 1 : 2)) << scale;
  }
}

TEST(ClassifierFree, GuidesBetweenTwoNoiseLevelsOnly) {
  const c10::NoGradGuard guard;
  const World w = two_classes();
  w.add_guide("classifier-free", {{"scale", 3.0}, {"interval", {0.3, 2.0}}});
  w.context->condition["label"] = at::zeros({3}, at::kLong);
  const std::vector<double> t{0.05, 0.3, 0.9};
  const at::Tensor x = at::full({3, 1}, 0.2, at::kDouble);
  w.context->counts.reset(3);
  const at::Tensor score = w.model()(x, PerRow(t)).score();
  for (std::size_t r = 0; r < 3; ++r) {
    const Point p = vp(t[r]);
    const bool inside = p.b / p.a > 0.3 && p.b / p.a <= 2.0;
    ASSERT_EQ(inside, r == 1);
    const double told = class_score(p, 0.2, 0), bare = class_score(p, 0.2, -1);
    EXPECT_NEAR(score[static_cast<std::int64_t>(r)][0].item<double>(),
                inside ? bare + 3 * (told - bare) : told, 1e-10);
  }
  EXPECT_EQ(w.nfe(), (std::vector<std::int64_t>{1, 2, 1}));
  EXPECT_THROW(w.add_guide("classifier-free", {{"interval", {2.0, 1.0}}}), host::PluginError);
}

/// Two classes N(-1, 1/4) and N(1, 1/4), score + scale grad log p(class | x), by the
/// probability-flow ODE: mean and std over the prior's quantiles. papers.md, 1.8 has these moments
/// to three figures from another solver; here the ODE is solved in plain doubles, in the variable
/// x/alpha against sigma/alpha.
TEST(ClassifierFree, MovesAndNarrowsAClassAsTheOdeSays) {
  const std::vector<Class> law{{0.5, -1, 0.5}, {0.5, 1, 0.5}};
  const std::vector<std::pair<double, std::pair<double, double>>> table{
      {0.0, {0.00, 1.116}},  {0.5, {0.639, 0.756}}, {1.0, {0.988, 0.499}},
      {2.0, {1.312, 0.355}}, {4.0, {1.665, 0.286}}, {10.0, {2.275, 0.234}}};
  const int rows = 400;
  at::Tensor x = at::empty({rows, 1}, at::kDouble);
  for (int r = 0; r < rows; ++r)
    x[r][0] = at::special_ndtri(at::tensor((r + 0.5) / rows, at::kDouble)).item<double>();
  for (const auto& [scale, moments] : table) {
    const World w = two_classes(law);
    w.add_guide("classifier-free", {{"scale", scale}});
    w.context->condition["label"] = at::ones({rows}, at::kLong);
    const at::Tensor y = w.sample(
        plugin("sampler", "pf-ode", {{"solver", "rk4"}, {"steps", 400}, {"spacing", "log-snr"}}),
        x);
    // du/dlevel = -level * score in u = x/alpha
    const auto slope = [&, scale = scale](double u, double level) {
      const Point p{1, level};
      const double bare = class_score(p, u, -1, law), told = class_score(p, u, 1, law);
      return -level * (bare + scale * (told - bare));
    };
    const Point top = vp(1), low = vp(1e-3);
    double largest = 0;
    for (const int r : {3, 120, 200, 390}) {
      const int steps = 20000;
      const double from = std::log(top.b / top.a), to = std::log(low.b / low.a),
                   h = (to - from) / steps;
      double u = x[r][0].item<double>() / top.a;
      const auto along = [&](double at, double u) { return std::exp(at) * slope(u, std::exp(at)); };
      for (int k = 0; k < steps; ++k) {
        const double at = from + h * k, a = along(at, u), b = along(at + h / 2, u + h / 2 * a),
                     c = along(at + h / 2, u + h / 2 * b), d = along(at + h, u + h * c);
        u += h / 6 * (a + 2 * b + 2 * c + d);
      }
      largest = std::max(largest, std::abs(u * low.a - y[r][0].item<double>()));
    }
    EXPECT_LT(largest, 1e-5) << scale;
    EXPECT_NEAR(y.mean().item<double>(), moments.first, 0.03) << scale;
    EXPECT_NEAR(y.std().item<double>(), moments.second, 0.03) << scale;
  }
}

/// Correlated coordinates: E[x0 | x] by a 3 x 3 inverse.
struct Correlated {
  at::Tensor mean = at::tensor({0.5, -0.3, 0.2}, at::kDouble);
  at::Tensor covariance =
      at::tensor({1.0, 0.6, 0.2, 0.6, 0.8, -0.1, 0.2, -0.1, 0.5}, at::kDouble).view({3, 3});
  Law law() const {
    const auto [values, axes] = at::linalg_eigh(covariance);
    return {at::ones({1}, at::kDouble), mean.unsqueeze(0), values.unsqueeze(0), axes.unsqueeze(0)};
  }
  at::Tensor x0(Point p, const at::Tensor& x) const {
    const at::Tensor of_x = p.a * p.a * covariance + p.b * p.b * at::eye(3, at::kDouble);
    return mean + at::matmul(x - p.a * mean, at::matmul(at::linalg_inv(of_x), p.a * covariance));
  }
};

/// Song, Meng & Ermon 2021, equation 12 with eta = 0, over all levels, where the first coordinate
/// of x0 is known.
TEST(Replacement, PutsWhatIsKnownIntoTheWalkOfDdim) {
  const Correlated data;
  const double known = 0.9;
  const int T = 40;
  const Ddpm process(T, 1e-4, 0.25);
  for (const bool fresh : {false, true}) {
    const World w =
        exact(plugin("scheduler", "ddpm-linear", {{"T", T}, {"beta_end", 0.25}}), data.law(), {3});
    w.add_guide("replacement", {{"observe", "first"},
                                {"share", 0.34},
                                {"values", {known, 7.0, 7.0}},
                                {"method", fresh ? "score-sde" : "replacement"}});
    bind(w);
    const at::Tensor start = w.prior(6),
                     y = w.sample(plugin("step", "ddim", {{"steps", T}}), start);
    Noise noise(w.seed, "guide");
    at::Tensor x = start;
    for (int i = T; i > 0; --i) {
      const Point p = process.at(i), next = process.at(i - 1);
      at::Tensor seen = x.clone();
      if (fresh) seen.select(1, 0).copy_((p.a * known + p.b * noise.normal(x)).select(1, 0));
      at::Tensor x0 = data.x0(p, seen);
      x0.select(1, 0).fill_(known);
      x = next.a * x0 + next.b * (x - p.a * x0) / p.b;
    }
    expect_close(y, x, 1e-9);
    EXPECT_LT((y.select(1, 0) - known).abs().max().item<double>(), 1e-12);
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(6, T));
  }
}

TEST(Replacement, LeavesIndependentCoordinatesAlone) {
  const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});
  for (const char* method : {"replacement", "score-sde"}) {
    const World bare = exact(plugin("scheduler", "vp"), law),
                w = exact(plugin("scheduler", "vp"), law);
    w.add_guide("replacement", {{"observe", "first"}, {"share", 0.34}, {"method", method}});
    const at::Tensor clean = Noise(5, "clean").normal(at::empty({9, 3}, at::kDouble));
    bind(w, clean);
    const Json sampler = plugin("step", "ancestral", {{"steps", 30}});
    const at::Tensor y = w.sample(sampler, w.prior(9)), free = bare.sample(sampler, w.prior(9));
    expect_close(y.narrow(1, 1, 2), free.narrow(1, 1, 2));
    expect_close(y.narrow(1, 0, 1), clean.narrow(1, 0, 1));
  }
}

/// Every sampler ends at what is observed, whatever it reads of the prediction.
TEST(Replacement, EndsAtTheObservationWithEverySampler) {
  const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});
  const std::vector<Json> samplers{
      plugin("sampler", "pf-ode", {{"solver", "heun"}, {"steps", 200}, {"spacing", "log-snr"}}),
      plugin("step", "euler-maruyama", {{"steps", 1000}, {"denoise", true}}),
      plugin("step", "reverse-diffusion", {{"steps", 1000}}),
      plugin("step", "ddim", {{"steps", 50}})};
  for (const char* method : {"replacement", "score-sde"})
    for (const Json& sampler : samplers) {
      const World w = exact(plugin("scheduler", "vp"), law);
      w.add_guide(
          "replacement",
          {{"observe", "first"}, {"share", 0.34}, {"method", method}, {"values", {0.4, 0.0, 0.0}}});
      bind(w);
      const at::Tensor y = w.sample(sampler, w.prior(200));
      EXPECT_LT((y.select(1, 0) - 0.4).abs().max().item<double>(), 0.08)
          << method << " " << sampler["plugin"];
      EXPECT_GT(y.select(1, 1).std().item<double>(), 0.8) << method << " " << sampler["plugin"];
    }
}

/// Known to an ancestral sampler, the observed part walks as the forward process does given it:
/// N(alpha y, sigma^2) at every level.
TEST(Replacement, CarriesTheObservedPartAsTheForwardProcess) {
  const Law law = gaussian({0.7, -1.2}, {0.5, 1.0});
  World w = exact(plugin("scheduler", "vp"), law);
  w.add_guide("replacement", {{"observe", "first"}, {"values", {0.4, 0.0}}});
  bind(w);
  int seen = 0;
  w.observe = [&](const Times& t, const at::Tensor& x) {
    if (t.one() == 0 || ++seen % 10 != 0) return;
    const Point p = vp(t.one());
    const at::Tensor z = (x.select(1, 0) - p.a * 0.4) / p.b;
    EXPECT_NEAR(z.mean().item<double>(), 0, 5 / std::sqrt(4000.0)) << t.one();
    EXPECT_NEAR(z.var().item<double>(), 1, 5 * std::sqrt(2 / 4000.0)) << t.one();
  };
  w.sample(plugin("step", "ancestral", {{"steps", 40}}), w.prior(4000));
  EXPECT_GE(seen, 30);
}

const std::vector<Json> observations{
    {{"observe", "left"}, {"share", 0.5}},   {{"observe", "outside"}, {"share", 0.75}},
    {{"observe", "random"}, {"share", 0.4}}, {{"observe", "grey"}},
    {{"observe", "blocks"}, {"factor", 2}},  {{"observe", "first"}, {"share", 0.5}}};

/// The projection in loops over channels, rows and columns of a [3, 4, 4] image; `random` is told
/// which pixels.
at::Tensor projected(const Json& how, const at::Tensor& x, const at::Tensor& random) {
  at::Tensor out = at::zeros_like(x);
  const auto from = x.accessor<double, 4>();
  auto to = out.accessor<double, 4>();
  const std::string kind = how["observe"];
  for (std::int64_t r = 0; r < x.size(0); ++r)
    for (int c = 0; c < 3; ++c)
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
          if (kind == "grey")
            to[r][c][i][j] = (from[r][0][i][j] + from[r][1][i][j] + from[r][2][i][j]) / 3;
          if (kind == "blocks")
            for (int k = 0; k < 4; ++k)
              to[r][c][i][j] += from[r][c][i / 2 * 2 + k / 2][j / 2 * 2 + k % 2] / 4;
          const bool known = (kind == "left" && j < 2) ||
                             (kind == "outside" && !(i >= 1 && i < 3 && j >= 1 && j < 3)) ||
                             (kind == "first" && i < 2) ||
                             (kind == "random" && random[i][j].item<bool>());
          if (known) to[r][c][i][j] = from[r][c][i][j];
        }
  return out;
}

/// Data N(mu, s^2 I), y = A x_0 + n: given y, x_0 is Gaussian too, with these means and variances
/// in and out of the observed space, and log p_t(x | y) has the score of both (the product of two
/// Gaussians, diffused).
TEST(Posterior, OfAGaussianIsTheExactConditionalScore) {
  const c10::NoGradGuard guard;
  const double s = 0.7, noise = 0.2, mu = 0.3, t = 0.35;
  const Law law = gaussian(std::vector<double>(48, mu), std::vector<double>(48, s));
  const at::Tensor random =
      Noise(0, "observation").uniform(at::empty({1, 1, 4, 4}, at::kDouble)).view({4, 4}) < 0.4;
  ASSERT_GT(random.sum().item<int>(), 2);
  for (Json how : observations)
    for (const char* method : {"pigdm", "dps"}) {
      const World w = exact(plugin("scheduler", "vp"), law, {3, 4, 4});
      how["noise"] = noise;
      how["method"] = method;
      how["scale"] = 1.0;
      if (method == std::string("pigdm")) how["data_std"] = s;
      w.add_guide("posterior", how);
      const at::Tensor clean = Noise(5, "clean").normal(at::empty({4, 3, 4, 4}, at::kDouble)),
                       x = w.prior(4);
      bind(w, clean);
      const Point p = vp(t);
      const auto in = [&](const at::Tensor& v) { return projected(how, v, random); };
      const at::Tensor y = in(clean +
                              noise * Noise(w.seed, "guide").stream("observation").normal(x)),
                       m = at::full_like(x, mu);
      w.context->counts.reset(4);
      const at::Tensor score = w.model()(x, t).score();
      EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(4, 1));
      const double v = p.a * p.a * s * s + p.b * p.b;
      const at::Tensor free = -(x - p.a * m) / v;
      if (method == std::string("pigdm")) {
        const double v_y = s * s * noise * noise / (s * s + noise * noise);
        const at::Tensor m_y = (noise * noise * m + s * s * y) / (s * s + noise * noise);
        expect_close(score, free - in(free)-in(x - p.a * m_y) / (p.a * p.a * v_y + p.b * p.b),
                     1e-9);
      } else {
        const at::Tensor x0 = m + p.a * s * s / v * (x - p.a * m);
        expect_close(score, free + p.a * s * s / v * (y - in(x0)) / (noise * noise), 1e-9);
      }
      EXPECT_TRUE(same_bits(w.model()(x, t).score(), score))
          << "the observation's noise stays for the whole call";
    }
}

TEST(Posterior, SamplesTheConditionalLaw) {
  const double s = 0.7, noise = 0.3, y = 1.1;
  const Law law = gaussian(std::vector<double>(40, 0.2), std::vector<double>(40, s));
  const World w = exact(plugin("scheduler", "vp"), law);
  w.add_guide("posterior", {{"observe", "first"},
                            {"values", std::vector<double>(40, y)},
                            {"noise", noise},
                            {"data_std", s}});
  bind(w);
  const int rows = 500, elements = rows * 20;
  // The observation's own noise is part of what is averaged over: y = 1.1 + n.
  const at::Tensor x = w.sample(
      plugin("step", "ancestral", {{"steps", 300}, {"spacing", "log-snr"}}), w.prior(rows));
  const double gain = s * s / (s * s + noise * noise), mean = 0.2 + gain * (y - 0.2),
               variance = s * s * (1 - gain) + gain * gain * noise * noise;
  const at::Tensor known = x.narrow(1, 0, 20), rest = x.narrow(1, 20, 20);
  EXPECT_NEAR(known.mean().item<double>(), mean, 5 * std::sqrt(variance / elements) + 0.005);
  EXPECT_NEAR(known.var().item<double>() / variance, 1, 5 * std::sqrt(2.0 / elements) + 0.02);
  EXPECT_NEAR(rest.mean().item<double>(), 0.2, 5 * s / std::sqrt(elements) + 0.005);
  EXPECT_NEAR(rest.var().item<double>() / (s * s), 1, 5 * std::sqrt(2.0 / elements) + 0.02);
}

TEST(Posterior, RefusesDpsOfAnExactObservation) {
  const World w = exact(plugin("scheduler", "vp"), gaussian({0.0}, {1.0}));
  EXPECT_THROW(w.add_guide("posterior", {{"method", "dps"}, {"observe", "first"}}),
               host::PluginError);
}

/// The host's own binding: labels and clean companions of each sample, whatever the chunk and the
/// call.
TEST(Companions, BelongToTheSampleWhateverTheCall) {
  const Law law = gaussian({0.7, -1.2, 0.0, 0.3}, {0.5, 1.0, 2.0, 1.0});
  const std::vector<std::pair<std::string, Json>> guides{
      {"replacement", {{"observe", "first"}, {"noise", 0.1}}},
      {"replacement", {{"observe", "first"}, {"method", "score-sde"}}},
      {"posterior", {{"observe", "first"}, {"noise", 0.1}}}};
  for (const auto& [name, params] : guides) {
    std::vector<at::Tensor> all;
    for (const std::int64_t chunk : {20, 7, 1}) {
      const World w = exact(plugin("scheduler", "vp"), law);
      w.add_guide(name, params);
      w.context->chunk = chunk;
      Sampling s = sampling(w, law, plugin("step", "ancestral", {{"steps", 6}}));
      std::vector<at::Tensor> parts;
      for (std::int64_t first = 0; first < 20; first += chunk)
        parts.push_back(draw_samples(s, first, std::min<std::int64_t>(chunk, 20 - first)).x);
      all.push_back(at::cat(parts));
    }
    EXPECT_TRUE(same_bits(all[0], all[1])) << name;
    EXPECT_TRUE(same_bits(all[0], all[2])) << name;
    EXPECT_GT(all[0].select(1, 0).std().item<double>(), 0.2)
        << "each sample has its own observation";
  }
}

TEST(Companions, LabelsAreThoseThatTheManifestAsksFor) {
  const Law law{at::tensor({0.5, 0.25, 0.25}, at::kDouble),
                at::tensor({-10.0, 0.0, 10.0}, at::kDouble).view({3, 1}),
                at::full({3, 1}, 0.01, at::kDouble),
                {}};
  const Json data =
      plugin("dataset", "gaussian-mixture",
             {{"means", {{-10.0}, {0.0}, {10.0}}}, {"weights", {0.5, 0.25, 0.25}}, {"std", {0.1}}});
  const auto drawn = [&](const NumberOrWord& labels, std::int64_t first, std::int64_t n) {
    const World w = exact(plugin("scheduler", "vp"), law, {}, at::kDouble, {{"labels", true}});
    Sampling s = sampling(
        w, law,
        plugin("sampler", "pf-ode", {{"solver", "heun"}, {"steps", 30}, {"spacing", "log-snr"}}));
    s.data = host::make_as<DataSet>(data);
    s.context.chunk = n;
    s.options.condition = labels;
    return (draw_samples(s, first, n).x / 10).round().flatten().to(at::kLong) + 1;
  };
  EXPECT_TRUE(drawn(2.0, 0, 8).eq(2).all().item<bool>());
  EXPECT_TRUE(drawn(std::string("balanced"), 4, 5).equal(at::tensor({1, 2, 0, 1, 2}, at::kLong)));
  for (const char* from : {"data", "none"}) {
    const at::Tensor k = drawn(std::string(from), 0, 400);
    for (int c = 0; c < 3; ++c)
      EXPECT_NEAR(k.eq(c).sum().item<double>(), c == 0 ? 200 : 100, 5 * 10.0) << from;
  }
  EXPECT_THROW(drawn(3.0, 0, 4), Error);
}

}  // namespace
}  // namespace scorelab::test
