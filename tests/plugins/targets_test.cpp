#include <gtest/gtest.h>

#include "formulas.h"
#include "objectives_testing.h"

namespace scorelab::test {
namespace {

/// A process at one time, in plain doubles: its point, the slopes there, and the point one level
/// below.
struct Place {
  const char* scheduler;
  Json params;
  double t;
  Point now, slope, below;
};

Point chain(int T, int i) { return Ddpm(T).at(i); }
Point equal_shares(int T, int i) {
  return {std::sqrt(1 - static_cast<double>(i) / T), std::sqrt(static_cast<double>(i) / T)};
}

/// Inside of processes of each kind, and at the end of those where alpha is 0. A slope that is NaN
/// is never asked for.
std::vector<Place> places() {
  std::vector<Place> out;
  for (const int i : {1, 2, 20, 50}) {
    const Ddpm q(50);
    const Point p = q.at(i);
    // log alpha is linear up to a level
    const double log_slope = 50 * 0.5 * std::log1p(-q.beta[static_cast<std::size_t>(i)]);
    out.push_back({"ddpm-linear",
                   {{"T", 50}},
                   i / 50.0,
                   p,
                   {p.a * log_slope, -p.a * p.a * log_slope / p.b},
                   chain(50, i - 1)});
  }
  for (const int i : {1, 25, 50}) {
    const Point p = equal_shares(50, i);
    out.push_back({"linear-alpha-bar",
                   {{"T", 50}},
                   i / 50.0,
                   p,
                   {i < 50 ? -0.5 / p.a : NAN, 0.5 / p.b},
                   equal_shares(50, i - 1)});
  }
  for (const double t : {0.02, 0.5, 1.0}) {
    const Point p = vp(t);
    const double log_slope = -0.5 * vp_beta(t);
    out.push_back({"vp",
                   Json::object(),
                   t,
                   p,
                   {p.a * log_slope, -p.a * p.a * log_slope / p.b},
                   vp(t - 0.000999)});
    const double below = t - 0.001 * (1 - 1e-5), s = ve(t).b;
    out.push_back({"ve", Json::object(), t, ve(t), {0, s * std::log(5000.0)}, ve(below)});
    out.push_back(
        {"flow", Json::object(), t, {1 - t, t}, {-1, 1}, {1 - (t - 0.000999), t - 0.000999}});
  }
  return out;
}

constexpr double sigma_data = 0.7;

/// What F says of a sample that was made of x0 and eps: its x0 and eps, and the F that would be
/// right.
struct Said {
  at::Tensor x0, eps, right;
};

Said said(const std::string& predict, const Place& p, const at::Tensor& F, const at::Tensor& x0,
          const at::Tensor& eps) {
  const auto [a, s] = p.now;
  const at::Tensor x = a * x0 + s * eps;
  if (predict == "eps") return {(x - s * F) / a, F, eps};
  if (predict == "x0") return {F, (x - a * F) / s, x0};
  if (predict == "score") return {(x + s * s * F) / a, -s * F, -eps / s};
  if (predict == "score-over-sigma") return {(x + s * F) / a, -F, -eps};
  if (predict == "v") {  // Salimans & Ho 2022, where a^2 + s^2 need not be 1
    const double r2 = a * a + s * s;
    return {(a * x - s * F) / r2, (s * x + a * F) / r2, a * eps - s * x0};
  }
  if (predict == "velocity") {
    const double det = a * p.slope.b - s * p.slope.a;
    return {(p.slope.b * x - s * F) / det, (a * F - p.slope.a * x) / det,
            p.slope.a * x0 + p.slope.b * eps};
  }
  if (predict == "mean") {  // Ho et al. 2020, equation 7, for any Gaussian process
    const double ratio = a / p.below.a, beta = s * s - ratio * ratio * p.below.b * p.below.b;
    const double A = p.below.a * beta / (s * s), B = ratio * p.below.b * p.below.b / (s * s);
    const at::Tensor of_x0 = (F - B * x) / A;
    return {of_x0, (x - a * of_x0) / s, A * x0 + B * x};
  }
  const double r = s / a, sd = sigma_data;  // edm: Karras et al. 2022, table 1
  const double skip = sd * sd / (r * r + sd * sd), out = r * sd / std::sqrt(r * r + sd * sd);
  const at::Tensor of_x0 = skip * x / a + out * F;
  return {of_x0, (x - a * of_x0) / s, (x0 - skip * x / a) / out};
}

/// Answers the same whatever it sees.
class Constant final : public Network {
 public:
  explicit Constant(at::Tensor answer) : answer_(std::move(answer)) {}
  at::Tensor forward(const Input& in) override { return answer_.to(in.x.scalar_type()); }

 private:
  at::Tensor answer_;
};

World saying(const std::string& predict, const Place& p, const at::Tensor& F,
             at::ScalarType dtype = at::kDouble) {
  OutputOptions output;
  output.predict = predict;
  output.sigma_data = sigma_data;
  return world(plugin("scheduler", p.scheduler, p.params), std::make_shared<Constant>(F), {3},
               dtype, output);
}

at::Tensor normal(const char* name) {
  return Noise(7, name).normal(at::empty({4, 3}, at::kDouble));
}

const std::vector<std::string> words{"eps",  "x0", "v", "velocity", "score", "score-over-sigma",
                                     "mean", "edm"};

/// Whether a network can say this there: with alpha = 0 eps says nothing of x0, and a slope may
/// have no value.
bool sayable(const std::string& predict, const Place& p) {
  if (predict == "velocity") return std::isfinite(p.slope.a);
  return p.now.a > 0 || predict == "x0" || predict == "v" || predict == "mean";
}

template <class F>
void each_place(F&& body) {
  for (const Place& p : places())
    for (const std::string& predict : words)
      if (sayable(predict, p)) body(p, predict);
}

double snr(Point p) { return p.a * p.a / (p.b * p.b); }
double elements(const at::Tensor& error) { return error.square().mean().item<double>(); }

/// Whether each row's loss is weight times the mean square of `error`.
void expect_rows(const at::Tensor& got, const at::Tensor& error, double weight,
                 const std::string& what) {
  ASSERT_EQ(got.size(0), error.size(0));
  for (std::int64_t r = 0; r < got.size(0); ++r) {
    const double expected = weight * elements(error[r]);
    EXPECT_NEAR(got[r].item<double>(), expected, 1e-8 * std::max(1e-12, std::abs(expected)))
        << what << ", row " << r;
  }
}

TEST(Targets, UnitIsTheErrorOfWhatTheNetworkSaysWhateverThatIs) {
  const at::Tensor x0 = normal("x0"), eps = normal("eps"), F = normal("F");
  each_place([&](const Place& p, const std::string& predict) {
    const World w = saying(predict, p, F);
    const TrainBatch b{x0, eps, p.now.a * x0 + p.now.b * eps, p.t};
    expect_rows(loss(w, *objective("ddpm", {{"weight", "unit"}}), b),
                F - said(predict, p, F, x0, eps).right, 1,
                predict + " on " + p.scheduler + " at " + std::to_string(p.t));
  });
}

TEST(Targets, EveryWeightIsOneErrorTimesItsFactor) {
  const at::Tensor x0 = normal("x0"), eps = normal("eps"), F = normal("F");
  each_place([&](const Place& p, const std::string& predict) {
    const World w = saying(predict, p, F);
    const TrainBatch b{x0, eps, p.now.a * x0 + p.now.b * eps, p.t};
    const Said of = said(predict, p, F, x0, eps);
    const std::string what = predict + " on " + p.scheduler + " at " + std::to_string(p.t);
    const auto rows = [&](const char* name, const Json& params) {
      return loss(w, *objective(name, params), b);
    };
    expect_rows(rows("ddpm", {{"weight", "simple"}}), of.eps - eps, 1, "simple, " + what);
    expect_rows(rows("denoising-score-matching", {{"weight", "sigma2"}}), of.eps - eps, 1.5,
                "sigma2, " + what);
    expect_rows(rows("denoising-score-matching", {{"weight", "unit"}}), of.eps - eps,
                1.5 / (p.now.b * p.now.b), "unit score, " + what);
    if (p.now.a > 0) {
      expect_rows(rows("ddpm", {{"weight", "min-snr"}, {"gamma", 5.0}}), of.x0 - x0,
                  std::min(snr(p.now), 5.0), "min-snr, " + what);
      const double edm = snr(p.now) + 1 / (sigma_data * sigma_data);
      expect_rows(rows("edm-loss", {{"sigma_data", sigma_data}}), of.x0 - x0, edm,
                  "edm-loss, " + what);
      const double g2 = 2 * p.now.b * p.slope.b - 2 * p.slope.a / p.now.a * p.now.b * p.now.b;
      expect_rows(rows("denoising-score-matching", {{"weight", "likelihood"}}), of.eps - eps,
                  1.5 * g2 / (p.now.b * p.now.b), "likelihood, " + what);
    }
    if (std::isfinite(p.slope.a))
      expect_rows(rows("flow-matching", Json::object()),
                  p.slope.a * (of.x0 - x0) + p.slope.b * (of.eps - eps), 1, "flow, " + what);
    // at the first level the small variance is the second's
    if (w.q->levels() > 0 && p.t * static_cast<double>(w.q->levels()) > 1.5) {
      const double ratio = p.now.a / p.below.a,
                   beta = p.now.b * p.now.b - ratio * ratio * p.below.b * p.below.b;
      const double A = p.below.a * beta / (p.now.b * p.now.b),
                   small = beta * p.below.b * p.below.b / (p.now.b * p.now.b);
      for (const bool large : {true, false})
        expect_rows(rows("ddpm", {{"weight", "elbo"}, {"variance", large ? "large" : "small"}}),
                    of.x0 - x0, 50 * 3 * A * A / (2 * (large ? beta : small)), "elbo, " + what);
    }
  });
}

/// alpha is 5e-5 at the last level: a target that is solved for from x and eps there is off by some
/// thousandths in float32.
TEST(Targets, AreExactInSinglePrecisionWhereNearlyNothingIsLeftOfTheData) {
  const auto f = [](double u) { return std::pow(std::cos((u + 0.008) / 1.008 * M_PI / 2), 2); };
  double abar = 1, before = 1;
  for (int i = 1; i <= 1000; ++i) {
    before = abar;
    abar *= 1 - std::min(1 - f(i / 1000.0) / f((i - 1) / 1000.0), 0.999);
  }
  const Place p{"ddpm-cosine",
                Json::object(),
                1,
                {std::sqrt(abar), std::sqrt(1 - abar)},
                {NAN, NAN},
                {std::sqrt(before), std::sqrt(1 - before)}};
  const at::Tensor x0 = normal("x0").to(at::kFloat), eps = normal("eps").to(at::kFloat),
                   none = at::zeros({4, 3}, at::kFloat);
  for (const char* predict : {"v", "x0", "eps", "mean"}) {
    const World w = saying(predict, p, none, at::kFloat);
    const TrainBatch b{x0, eps, w.q->alpha(1) * x0 + w.q->sigma(1) * eps, 1};
    const at::Tensor got = loss(w, *objective("ddpm", {{"weight", "unit"}}), b).to(at::kDouble);
    const at::Tensor right =
        said(predict, p, none.to(at::kDouble), x0.to(at::kDouble), eps.to(at::kDouble)).right;
    for (std::int64_t r = 0; r < 4; ++r)
      EXPECT_NEAR(got[r].item<double>() / elements(right[r]), 1, 2e-6) << predict << ", row " << r;
  }
}

TEST(Targets, LeaveGradientsFiniteWhereNothingIsLeftOfTheData) {
  for (const auto& [scheduler, predicts] :
       std::vector<std::pair<const char*, std::vector<const char*>>>{
           {"linear-alpha-bar", {"x0", "v", "mean"}}, {"flow", {"x0", "v", "mean", "velocity"}}})
    for (const char* predict : predicts)
      for (const char* weight : {"unit", "simple", "min-snr"}) {
        OutputOptions output;
        output.predict = predict;
        const auto network = std::make_shared<TinyNetwork>(0.3 * at::eye(3, at::kDouble),
                                                           at::zeros({3}, at::kDouble));
        const World w = world(plugin("scheduler", scheduler), network, {3}, at::kDouble, output);
        loss(w, *objective("ddpm", {{"weight", weight}}), batch(w, normal("x0"), 1))
            .mean()
            .backward();
        for (const auto& [name, parameter] : network->parameters())
          EXPECT_TRUE(parameter.grad().isfinite().all().item<bool>())
              << scheduler << " " << predict << " " << weight << " " << name;
      }
}

}  // namespace
}  // namespace scorelab::test
