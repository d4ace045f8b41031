#include <gtest/gtest.h>
#include <scorelab/metric.h>

#include <algorithm>
#include <map>
#include <numbers>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

std::map<std::string, double> measure(const World& w, const at::Tensor& data, const Json& params,
                                      Affine map = {}, Grey grey = {}, std::uint64_t seed = 13,
                                      std::int64_t first = 0) {
  const c10::NoGradGuard guard;
  const Json config = plugin("metric", "nll-ode", params);
  host::check_all(config);
  const auto metric = host::make_as<Metric>(config);
  host::prepare(metric, config, w.setting());
  w.context->counts.reset(data.size(0));
  Model model = w.model();
  Noise noise(seed, "metric", first);
  const DataRange space(map, w.shape);
  std::map<std::string, double> out;
  for (const Measurement& m :
       metric->measure({{}, data, nullptr, noise, nullptr, &model, &space, grey}))
    out[m.name] = m.value;
  return out;
}
double nll(const World& w, const at::Tensor& data, const Json& params) {
  return measure(w, data, params)[""];
}

at::Tensor points(std::int64_t rows, std::int64_t D) {
  return 1.3 * Noise(5, "points").normal(at::empty({rows, D}, at::kDouble));
}

/// A process with its two ends and its prior's standard deviation in plain doubles.
struct Case {
  Json scheduler;
  Point low, high;
  double prior;
};
Point sub_vp(double t) {
  const double a = vp(t).a;
  return {a, 1 - a * a};
}
std::vector<Case> processes() {
  return {{plugin("scheduler", "vp"), vp(1e-3), vp(1), 1},
          {plugin("scheduler", "ve"), ve(1e-5), ve(1), 50},
          {plugin("scheduler", "sub-vp"), sub_vp(1e-3), sub_vp(1), 1},
          {plugin("scheduler", "edm"), {1, 0.002}, {1, 80}, 80},
          {plugin("scheduler", "flow"), {1 - 1e-3, 1e-3}, {0, 1}, 1}};
}
/// At their ends nothing is left of the data, to 1e-8: the prior is the law of the last marginal.
std::vector<Case> forgetful() {
  const auto at = [](double t) {
    const double a = std::exp(-0.25 * t * t * 79.9 - 0.5 * t * 0.1);
    return Point{a, std::sqrt(1 - a * a)};
  };
  const Point p = at(1e-3);
  return {{plugin("scheduler", "vp", {{"beta_max", 80.0}}), p, at(1), 1},
          {plugin("scheduler", "ve", {{"sigma_max", 1e8}}),
           {1, 0.01 * std::pow(1e10, 1e-5)},
           {1, 1e8},
           1e8},
          {plugin("scheduler", "sub-vp", {{"beta_max", 80.0}}), {p.a, 1 - p.a * p.a}, {0, 1}, 1},
          {plugin("scheduler", "flow"), {1 - 1e-3, 1e-3}, {0, 1}, 1}};
}

double log_normal(double x, double mean, double variance) {
  return -0.5 * ((x - mean) * (x - mean) / variance + std::log(2 * std::numbers::pi * variance));
}
/// ln of by how much the flow stretches a coordinate: papers.md, O8.
double stretch(const Coordinate& d, const Case& c) {
  return 0.5 * std::log(d.variance(c.high) / d.variance(c.low));
}

const std::vector<Coordinate> spectrum{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law& spectrum_law() {
  static const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});
  return law;
}

/// The mean of -log p by the closed flow of a Gaussian: x_T = a_T m + sqrt(v_T/v_0)(x - a_0 m), and
/// then the prior. `volume(row)` is the integral of the divergence.
template <class F>
double through_the_flow(const std::vector<Coordinate>& data, const at::Tensor& x, const Case& c,
                        F&& volume) {
  const auto rows = x.accessor<double, 2>();
  double total = 0;
  for (std::int64_t r = 0; r < x.size(0); ++r) {
    total -= volume(r);
    for (std::int64_t i = 0; i < x.size(1); ++i) {
      const Coordinate& d = data[static_cast<std::size_t>(i)];
      total -= log_normal(c.high.a * d.m + std::exp(stretch(d, c)) * (rows[r][i] - c.low.a * d.m),
                          0, c.prior * c.prior);
    }
  }
  return total / static_cast<double>(x.size(0));
}
double through_the_flow(const std::vector<Coordinate>& data, const at::Tensor& x, const Case& c) {
  double whole = 0;
  for (std::int64_t i = 0; i < x.size(1); ++i)
    whole += stretch(data[static_cast<std::size_t>(i)], c);
  return through_the_flow(data, x, c, [whole](std::int64_t) { return whole; });
}

/// The mean of -log p_t(x) of a mixture, in loops.
double truth(const Law& law, const at::Tensor& x, Point p) {
  const auto rows = x.accessor<double, 2>();
  double total = 0;
  for (std::int64_t r = 0; r < x.size(0); ++r) {
    double density = 0;
    for (std::int64_t k = 0; k < law.weights.size(0); ++k) {
      double log = 0;
      for (std::int64_t i = 0; i < x.size(1); ++i) {  // along the axis i of the component
        double off = 0;
        for (std::int64_t j = 0; j < x.size(1); ++j) {
          const double axis =
              law.bases.defined() ? law.bases[k][j][i].item<double>() : static_cast<double>(i == j);
          off += axis * (rows[r][j] - p.a * law.means[k][j].item<double>());
        }
        log += log_normal(off, 0, p.a * p.a * law.variances[k][i].item<double>() + p.b * p.b);
      }
      density += law.weights[k].item<double>() * std::exp(log);
    }
    total -= std::log(density) / static_cast<double>(x.size(0));
  }
  return total;
}

const Json tight{{"tol", 1e-10}};

TEST(NllOde, OfAGaussianOfAnySpectrumIsTheFlowsOnEveryProcess) {
  const at::Tensor x = points(12, 3);
  for (const Case& c : processes()) {
    const World w = exact(c.scheduler, spectrum_law());
    EXPECT_NEAR(nll(w, x, tight), through_the_flow(spectrum, x, c), 1e-7) << c.scheduler;
    // a prior that is nearly the last marginal
    EXPECT_NEAR(nll(w, x, tight), truth(spectrum_law(), x, c.low), 0.1) << c.scheduler;
  }
}

TEST(NllOde, IsTheDensityAtTMinWhereThePriorIsTheLastMarginal) {
  const at::Tensor x3 = points(6, 3), x2 = points(6, 2);
  for (const Case& c : forgetful()) {
    EXPECT_NEAR(nll(exact(c.scheduler, spectrum_law()), x3, tight),
                truth(spectrum_law(), x3, c.low), 1e-6)
        << c.scheduler;
    for (const Law& law : {three_modes(), turned_modes()})
      EXPECT_NEAR(nll(exact(c.scheduler, law), x2, tight), truth(law, x2, c.low), 1e-6)
          << c.scheduler;
  }
  const Case unit{plugin("scheduler", "vp"), vp(1e-3), vp(1), 1};  // v_t = 1 at every t
  EXPECT_NEAR(nll(exact(unit.scheduler, gaussian({0, 0}, {1, 1})), x2, tight),
              truth(gaussian({0, 0}, {1, 1}), x2, unit.low), 1e-9);
}

TEST(NllOde, IsTheDensityAtTMinAndNotThatOfTheData) {
  const at::Tensor x = points(12, 2);
  const World w = exact(plugin("scheduler", "flow", {{"t_min", 0.3}}), three_modes());
  EXPECT_NEAR(nll(w, x, tight), truth(three_modes(), x, {0.7, 0.3}), 1e-6);
  EXPECT_GT(std::abs(nll(w, x, tight) - truth(three_modes(), x, {1, 0})), 0.03);
}

TEST(NllOde, SolversHaveOrders1And2And4) {
  const Case c = forgetful()[3];
  const World w = exact(c.scheduler, three_modes());
  const at::Tensor x = points(5, 2);
  struct Solver {
    const char* name;
    int steps, slopes;
    double order;
  };
  for (const Solver& s :
       {Solver{"euler", 400, 1, 1}, Solver{"heun", 200, 2, 2}, Solver{"rk4", 100, 4, 4}}) {
    double squares[2] = {};  // of each point's error: a mean of signed errors has its zeros
    for (const int finer : {0, 1})
      for (std::int64_t r = 0; r < 5; ++r) {
        const at::Tensor one = x.narrow(0, r, 1);
        squares[finer] += std::pow(nll(w, one, {{"solver", s.name}, {"steps", s.steps << finer}}) -
                                       truth(three_modes(), one, c.low),
                                   2);
      }
    const double coarse = std::sqrt(squares[0]), fine = std::sqrt(squares[1]);
    EXPECT_NEAR(order(coarse, fine), s.order, 0.15) << s.name << " " << coarse << " " << fine;
    const std::int64_t slopes = 2 * s.steps * s.slopes;
    EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(1, slopes)) << s.name;
    EXPECT_EQ(w.context->counts.vjps, std::vector<std::int64_t>(1, 2 * slopes))
        << s.name << ": one a dimension";
  }
}

TEST(NllOde, TheErrorFallsWithTheTolerance) {
  const Case c = forgetful()[3];
  const World w = exact(c.scheduler, three_modes());
  const at::Tensor x = points(12, 2);
  double last = 1;
  for (const double tol : {1e-2, 1e-3, 1e-5, 1e-8, 1e-10}) {
    const double error = std::abs(nll(w, x, {{"tol", tol}}) - truth(three_modes(), x, c.low));
    EXPECT_LT(error, std::max(20 * tol, 1e-9)) << tol;
    EXPECT_LT(error, last / 5) << tol;
    last = std::max(error, 1e-9);
  }
}

TEST(NllOde, RademacherProbesOfADiagonalJacobianHaveNoVariance) {
  const at::Tensor x = points(7, 3);
  for (const Law& law : {gaussian({0.7, -1.2, 0.0}, {0.8, 0.8, 0.8}), spectrum_law()}) {
    const World w = exact(plugin("scheduler", "vp"), law);
    for (const char* solver : {"rk45", "heun"})
      for (const int probes : {1, 3}) {
        const Json by{{"solver", solver}, {"divergence", "hutchinson"}, {"probes", probes}};
        EXPECT_NEAR(nll(w, x, by), nll(w, x, {{"solver", solver}}), 1e-10) << solver << probes;
      }
  }
}

/// The mean over the probes of the sum over the axes of L_i (q_i . v)^2: what the estimate
/// integrates to on a Gaussian.
double estimated(const std::vector<Coordinate>& data, const at::Tensor& x, const Case& c,
                 const at::Tensor& basis, const std::vector<at::Tensor>& probes,
                 const at::Tensor& turned) {
  at::Tensor L = at::empty({x.size(1)}, at::kDouble);
  for (std::int64_t i = 0; i < x.size(1); ++i) L[i] = stretch(data[static_cast<std::size_t>(i)], c);
  at::Tensor volume = at::zeros({x.size(0)}, at::kDouble);
  for (const at::Tensor& v : probes)
    volume += (v.matmul(basis).square() * L).sum(1) / static_cast<double>(probes.size());
  return through_the_flow(data, turned, c,
                          [&](std::int64_t r) { return volume[r].item<double>(); });
}

TEST(NllOde, AProbeIsHeldThroughTheWholeSolveAndKProbesAreAveraged) {
  const at::Tensor x = points(6, 2);
  const double co = std::cos(0.4), si = std::sin(0.4);
  Law law = gaussian({0.0, 0.0}, {0.5, 2.0});  // turned: the Jacobian is not diagonal
  law.bases = at::tensor({co, -si, si, co}, at::kDouble).view({1, 2, 2});
  const Case c = processes()[0];
  const World w = exact(c.scheduler, law);
  for (const bool gaussian_probes : {false, true})
    for (const int k : {1, 3}) {
      std::vector<at::Tensor> probes;
      const Noise noise(13, "metric");
      for (int i = 0; i < k; ++i) {
        Noise own = noise.stream("probe", i);
        probes.push_back(gaussian_probes ? own.normal(x) : own.sign(x));
      }
      const Json by{{"tol", 1e-11},
                    {"divergence", "hutchinson"},
                    {"probes", k},
                    {"probe", gaussian_probes ? "gaussian" : "rademacher"}};
      EXPECT_NEAR(
          nll(w, x, by),
          estimated({{0, 0.5}, {0, 2.0}}, x, c, law.bases[0], probes, x.matmul(law.bases[0])), 1e-7)
          << by;
      for (const std::int64_t n : w.nfe()) EXPECT_EQ((n - 1) % 6, 0) << n;
    }
}

TEST(NllOde, GaussianProbesAreUnbiasedWithTwiceTheSquaredTraceAsVariance) {
  const Case c = processes()[0];
  const World w = exact(c.scheduler, spectrum_law());
  const at::Tensor x = points(30, 3);
  const int seeds = 120;
  const double exactly = nll(w, x, {{"solver", "rk4"}, {"steps", 25}});
  double squares = 0;
  for (const Coordinate& d : spectrum) squares += stretch(d, c) * stretch(d, c);
  for (const int k : {1, 4}) {
    at::Tensor off = at::empty({seeds}, at::kDouble);
    for (int s = 0; s < seeds; ++s)
      off[s] = measure(w, x,
                       {{"solver", "rk4"},
                        {"steps", 25},
                        {"divergence", "hutchinson"},
                        {"probe", "gaussian"},
                        {"probes", k}},
                       {}, {}, static_cast<std::uint64_t>(100 + s))[""] -
               exactly;
    const double variance = 2 * squares / (30.0 * k);
    EXPECT_LT(std::abs(off.mean().item<double>()), 4 * std::sqrt(variance / seeds));
    EXPECT_NEAR(off.square().mean().item<double>() / variance, 1, 4 * std::sqrt(2.0 / seeds));
  }
}

TEST(NllOde, APointHasItsOwnStepsAndProbesWhateverItsNeighboursAndTheChunk) {
  const World w = exact(plugin("scheduler", "vp"), turned_modes());
  const at::Tensor x = points(7, 2);
  for (const char* divergence : {"exact", "hutchinson"}) {
    const Json params{{"divergence", divergence}, {"tol", 1e-4}};
    const double together = nll(w, x, params);
    const auto cost = w.nfe();
    EXPECT_NE(*std::min_element(cost.begin(), cost.end()),
              *std::max_element(cost.begin(), cost.end()));
    double sum = 0;
    for (std::int64_t r = 0; r < 7; ++r) {
      sum += measure(w, x.narrow(0, r, 1), params, {}, {}, 13, r)[""];
      EXPECT_EQ(w.nfe()[0], cost[static_cast<std::size_t>(r)]) << r;
    }
    EXPECT_NEAR(sum / 7, together, 1e-13);
    w.context->chunk = 3;
    EXPECT_EQ(nll(w, x, params), together);
    EXPECT_EQ(w.nfe(), cost);
    w.context->chunk = 0;
  }
}

TEST(NllOde, OtherUnitsOfTheDataCountTheirVolume) {
  const World w = exact(plugin("scheduler", "vp"), spectrum_law());
  const at::Tensor x = points(5, 3);
  const Affine map{2.5, -1};
  const double own = measure(w, (x - map.shift) / map.scale, tight, map)[""];
  EXPECT_NEAR(own, nll(w, x, tight) - 3 * std::log(2.5), 1e-9);
}

TEST(NllOde, BitsADimensionOfDigitsAreTheHandComputation) {
  std::vector<double> mean(64), std(64);
  std::vector<Coordinate> data;
  for (std::size_t i = 0; i < 64; ++i)
    data.push_back({mean[i] = 0.02 * static_cast<double>(i) - 0.8,
                    std[i] = 0.3 + 0.01 * static_cast<double>(i)});
  const Case c = processes()[0];
  const World w = exact(c.scheduler, gaussian(mean, std), {1, 8, 8});
  for (const bool by_data : {false, true}) {
    const Json config = plugin("dataset", "digits", {{"dequantise", by_data}});
    const auto digits = host::make_as<DataSet>(config);
    host::prepare(digits, config, w.setting());
    EXPECT_EQ(digits->grey().levels, 17);
    EXPECT_EQ(digits->grey().dequantised, by_data);
    Noise draws(3, "reference");
    Condition labels;
    const at::Tensor y = digits->get({0, 5, 1700}, draws, labels).to(at::kDouble);
    at::Tensor unit = y;  // (byte + u)/17
    if (!by_data) {
      Noise u = Noise(13, "metric").stream("dequantise");
      unit = ((16 * y).round() + u.uniform(y)) / 17;
    }
    // of the model's units
    const double nats = through_the_flow(data, (2 * unit - 1).flatten(1).contiguous(), c);
    auto got = measure(w, y, {{"tol", 1e-9}, {"divergence", "hutchinson"}}, digits->to_model(),
                       digits->grey());
    EXPECT_NEAR(got["offset"], std::log2(17.0) - 1, 1e-12);
    EXPECT_NEAR(got["bpd"], nats / (64 * std::log(2.0)) + std::log2(17.0) - 1, 1e-8);
    EXPECT_NEAR(got[""], nats - 64 * std::log(2.0), 1e-6);
  }
}

TEST(NllOde, EightBitsAdd7BitsFromMinus1To1And8From0To1) {
  Images images;
  images.store(at::zeros({1, 1, 1, 2}, at::kByte), {}, 255);
  EXPECT_EQ(images.grey().levels, 256);
  const World w = exact(plugin("scheduler", "vp"), gaussian({0.1, 0.2}, {0.5, 0.4}));
  const at::Tensor x = points(4, 2).sigmoid();
  auto symmetric = measure(w, x, tight, {2, -1}, {256, true}),
       unit = measure(w, x, tight, {1, 0}, {256, true});
  EXPECT_NEAR(symmetric["offset"], 7, 1e-12);
  EXPECT_NEAR(unit["offset"], 8, 1e-12);
  EXPECT_NEAR(symmetric["bpd"], nll(w, 2 * x - 1, tight) / (2 * std::log(2.0)) + 7, 1e-9);
  EXPECT_NEAR(unit["bpd"], nll(w, x, tight) / (2 * std::log(2.0)) + 8, 1e-9);
  EXPECT_EQ(measure(w, x, tight).count("bpd"), 0U);  // of points there are no grey levels
}

TEST(NllOde, AFloatModelIsSolvedInDouble) {
  const at::Tensor x = points(6, 2);
  const World single = exact(plugin("scheduler", "vp"), three_modes(), {}, at::kFloat),
              whole = exact(plugin("scheduler", "vp"), three_modes());
  EXPECT_NEAR(nll(single, x, {{"tol", 1e-6}}), nll(whole, x, {{"tol", 1e-6}}), 2e-5);
}

TEST(NllOde, AModelThatIsNotFiniteEndsTheSolve) {
  struct Broken final : Network {
    at::Tensor forward(const Input& in) override { return in.x * std::nan(""); }
  };
  const World w = world(plugin("scheduler", "vp"), std::make_shared<Broken>(), {2});
  EXPECT_THROW(nll(w, points(2, 2), Json::object()), Error);
}

}  // namespace
}  // namespace scorelab::test
