#include <gtest/gtest.h>

#include <algorithm>

#include "walks.h"

namespace scorelab::test {
namespace {

const std::vector<Coordinate> data{{0.7, 0.5}, {-1.2, 1.0}, {0.0, 2.0}};
const Law law = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});

struct Settings {
  double rtol = 0.02, atol = 0.0078, first = 0.01, safety = 0.9, exponent = 0.9;
};

struct Row {
  std::vector<double> x;
  std::int64_t nfe = 0, refused = 0, refused_at_the_end = 0;
};

/// Jolicoeur-Martineau et al. 2021, algorithm 1, for one sample of a reverse SDE; draw() is the
/// next z of the row.
template <class At, class F, class G2, class Draw>
Row algorithm1(const Settings& set, At&& at, F&& f, G2&& g2, double start, double end,
               std::vector<double> x, Draw&& draw) {
  const std::size_t D = x.size();
  const auto drift = [&](double t, std::size_t i, double y) {
    return f(t) * y - g2(t) * data[i].score(at(t), y);
  };
  Row out;
  double t = start, h = set.first * (start - end);
  std::vector<double> previous = x;
  while (t > end) {
    h = std::min(h, t - end);
    const std::vector<double> z = draw();
    std::vector<double> low(D), high(D);
    double sum = 0;
    for (std::size_t i = 0; i < D; ++i) {
      low[i] = x[i] - h * drift(t, i, x[i]) + std::sqrt(h * g2(t)) * z[i];
      const double tilde = x[i] - h * drift(t - h, i, low[i]) + std::sqrt(h * g2(t - h)) * z[i];
      high[i] = 0.5 * (low[i] + tilde);
      const double delta =
          std::max(set.atol, set.rtol * std::max(std::abs(low[i]), std::abs(previous[i])));
      sum += std::pow((low[i] - high[i]) / delta, 2);
    }
    const double E = std::sqrt(sum / static_cast<double>(D));
    out.nfe += 2;
    if (E <= 1) {
      x = high;
      previous = low;
      t = h == t - end ? end : t - h;
    } else {
      ++out.refused;
      out.refused_at_the_end += h == t - end;
    }
    h *= set.safety * std::pow(E, -set.exponent);
  }
  out.x = x;
  return out;
}

Json config(const Settings& set, bool denoise = false) {
  return plugin("sampler", "adaptive-sde",
                {{"rtol", set.rtol},
                 {"atol", set.atol},
                 {"first", set.first},
                 {"safety", set.safety},
                 {"exponent", set.exponent},
                 {"denoise", denoise}});
}

/// Rows of `w` from `start` by algorithm 1.
std::vector<Row> rows(const World& w, const char* name, const Settings& set,
                      const at::Tensor& start) {
  std::vector<Row> out;
  const bool is_vp = name == std::string("vp");
  for (std::int64_t r = 0; r < start.size(0); ++r) {
    Noise noise = w.noise(r);
    const at::Tensor like = start.narrow(0, r, 1);
    const auto list = [](const at::Tensor& x) {
      return std::vector<double>(x.data_ptr<double>(), x.data_ptr<double>() + x.numel());
    };
    const auto draw = [&] { return list(noise.normal(like)); };
    const double rate = 2 * std::log(5000.0);
    out.push_back(algorithm1(
        set, [&](double t) { return is_vp ? vp(t) : ve(t); },
        [&](double t) { return is_vp ? -0.5 * vp_beta(t) : 0.0; },
        [&](double t) { return is_vp ? vp_beta(t) : rate * std::pow(ve(t).b, 2); }, 1,
        is_vp ? 1e-3 : 1e-5, list(like.contiguous()), draw));
  }
  return out;
}

TEST(AdaptiveSde, IsAlgorithm1OfEachRow) {
  std::int64_t at_the_end = 0;
  for (const char* name : {"vp", "ve"})
    for (const Settings& set :
         {Settings{}, Settings{0.05, 0.01, 0.5, 0.8, 0.6}, Settings{0.01, 0.002, 0.9, 0.9, 0.9}}) {
      SCOPED_TRACE(std::string(name) + ", first " + std::to_string(set.first));
      const World w = exact(plugin("scheduler", name), law);
      const at::Tensor x = w.prior(12), y = w.sample(config(set), x);
      const auto expected = rows(w, name, set, x);
      std::vector<std::int64_t> nfe;
      at::Tensor end = at::empty_like(x);
      std::int64_t refused = 0;
      for (std::int64_t r = 0; r < 12; ++r) {
        nfe.push_back(expected[r].nfe);
        refused += expected[r].refused;
        at_the_end += expected[r].refused_at_the_end;
        for (std::int64_t d = 0; d < 3; ++d) end[r][d] = expected[r].x[d];
      }
      EXPECT_EQ(w.nfe(), nfe);
      EXPECT_GT(refused, 0);
      EXPECT_NE(*std::min_element(nfe.begin(), nfe.end()),
                *std::max_element(nfe.begin(), nfe.end()))
          << "every row has its own steps";
      expect_close(y, end, 1e-8);  // rounding in an error estimate goes on in the steps
      w.sample(config(set, true), x);
      for (auto& n : nfe) ++n;
      EXPECT_EQ(w.nfe(), nfe) << "Tweedie's mean costs one";
    }
  EXPECT_GT(at_the_end, 0)
      << "a last step, cut at the end, was refused: the next is shorter than that";
}

TEST(AdaptiveSde, ARowTakesItsOwnStepsWhateverItsNeighboursDo) {
  const World w = exact(plugin("scheduler", "vp"), three_modes());
  const at::Tensor x = w.prior(64), together = w.sample(config({}), x);
  const auto cost = w.nfe();
  for (const std::int64_t call : {1, 7})
    for (std::int64_t first = 0; first < 64; first += call) {
      const std::int64_t n = std::min<std::int64_t>(call, 64 - first);
      ASSERT_TRUE(same_bits(w.sample(config({}), x.narrow(0, first, n), first),
                            together.narrow(0, first, n)))
          << "row " << first;
      for (std::int64_t r = 0; r < n; ++r) EXPECT_EQ(w.nfe()[r], cost[first + r]);
    }
}

/// Mean and standard deviation of n samples of N(0.7, 0.5^2) in D dimensions.
std::pair<double, double> moments(const char* name, std::int64_t D, std::int64_t n, bool paths) {
  World w = exact(plugin("scheduler", name),
                  gaussian(std::vector<double>(D, 0.7), std::vector<double>(D, 0.5)));
  w.paths = paths;
  const at::Tensor y = w.sample(config({}, true), w.prior(n));
  return {y.mean().item<double>(), y.std().item<double>()};
}

TEST(AdaptiveSde, HasTheMomentsOfTheDataInManyDimensions) {
  for (const char* name : {"vp", "ve"}) {
    const auto [mean, std] = moments(name, 3072, 10, false);
    EXPECT_NEAR(mean, 0.7, 5 * 0.5 / std::sqrt(30720) + 0.02) << name;
    EXPECT_NEAR(std, 0.5, 5 * 0.5 / std::sqrt(2 * 30720.0) + 0.02) << name;
  }
}

TEST(AdaptiveSde, InFewDimensionsDrawingAnewFavoursDrawsThatAreAcceptedAndAPathDoesNot) {
  EXPECT_GT(moments("vp", 1, 500, false).second, 0.6);
  const auto [mean, std] = moments("vp", 1, 100, true);
  EXPECT_NEAR(mean, 0.7, 4 * 0.5 / std::sqrt(100) + 0.01);
  EXPECT_NEAR(std, 0.5, 4 * 0.5 / std::sqrt(200) + 0.01);
}

TEST(AdaptiveSde, OnOnePathTheErrorFallsWithTheTolerance) {
  World w = exact(plugin("scheduler", "vp"), three_modes());
  w.paths = true;
  const at::Tensor x = w.prior(12);
  const auto end = [&](double tolerance) {
    return w.sample(config({tolerance, tolerance / 4}), x);
  };
  const at::Tensor truth = end(1e-3);
  std::vector<double> error;
  std::int64_t cost = 0;
  for (const double tolerance : {0.3, 0.06, 0.012}) {
    error.push_back((end(tolerance) - truth).square().mean().sqrt().item<double>());
    EXPECT_GT(w.nfe()[0], cost);
    cost = w.nfe()[0];
  }
  EXPECT_LT(error[1], 0.8 * error[0]);
  EXPECT_LT(error[2], 0.6 * error[1]);
}

/// Answers no number where alpha is above 1/2, from t = 0.37 down.
class NothingBelow final : public Network {
 public:
  at::Tensor forward(const Input& in) override {
    const at::Tensor nan = (in.alpha > 0.5).to(in.x.dtype()).unsqueeze(1);
    return in.x / (1 - nan) - nan / (1 - nan);
  }
};

TEST(AdaptiveSde, EndsWhereTheModelIsNotFinite) {
  World w = world(plugin("scheduler", "vp"), std::make_shared<NothingBelow>(), {2});
  double last = 1;
  w.observe = [&last](const Times& t, const at::Tensor&) {
    for (std::size_t r = 0; r < t.rows(); ++r) {
      EXPECT_GE(t[r], 1e-3);
      last = std::min(last, t[r]);
    }
  };
  EXPECT_FALSE(
      w.sample(plugin("sampler", "adaptive-sde"), w.prior(2)).isfinite().all().item<bool>());
  EXPECT_GE(last, 0.36);  // no step led where there is no answer
}

}  // namespace
}  // namespace scorelab::test
