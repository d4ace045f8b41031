#include <gtest/gtest.h>
#include <scorelab/grid.h>

#include <set>

#include "formulas.h"
#include "testing.h"

namespace scorelab::test {
namespace {

struct Process {
  const char* name;
  Json params;
  bool finite_snr = true;
};

std::vector<Process> processes() {
  std::vector<Process> out;
  for (const char* name :
       {"ddpm-linear", "ddpm-cosine", "ddpm-quadratic", "ddpm-sigmoid", "scaled-linear"})
    for (const int T : {20, 100, 1000}) out.push_back({name, {{"T", T}}});
  for (const int L : {10, 232}) out.push_back({"ncsn-ladder", {{"L", L}}});
  for (const int T : {20, 1000}) out.push_back({"linear-alpha-bar", {{"T", T}}, false});
  for (const char* name : {"vp", "sub-vp", "ve", "edm", "laplace"})
    out.push_back({name, Json::object()});
  out.push_back({"flow", Json::object(), false});
  out.push_back({"flow", {{"alpha_min", 0.01}}});
  return out;
}

/// The grid's intervals, or why there are none.
std::vector<Interval> intervals(const Scheduler& q, const Json& values, bool to_zero,
                                std::string& refused) {
  Grid grid;
  Params p;
  grid.params(p);
  for (const auto& spec : p.specs)
    if (values.contains(spec->name)) schema::assign(*spec, values[spec->name], {});
  try {
    return grid.steps(q, to_zero);
  } catch (const Error& e) {
    refused = e.what();
    return {};
  }
}

TEST(Grid, NeverHoldsATimeTwice) {
  for (const Process& of : processes()) {
    const World w = world(plugin("scheduler", of.name, of.params), nullptr, {1});
    const auto levels = w.q->levels();
    for (const char* spacing : {"uniform", "quadratic", "log-snr", "karras", "leading", "trailing"})
      for (const double from : {1.0, 0.31})
        for (const bool zero : {false, true})
          for (const std::int64_t S :
               {1, 2, 3, 7, 10, 19, 20, 31, 50, 99, 100, 200, 250, 500, 999, 1000, 1500}) {
            const std::string what = std::string(of.name) + of.params.dump() + " " + spacing +
                                     " from " + std::to_string(from) + ", " + std::to_string(S) +
                                     (zero ? " to 0" : " to t_min");
            std::string refused;
            Json values{{"steps", S}, {"spacing", spacing}};
            if (from != 1 && w.q->t_max() == 1) values["from"] = from;
            const auto steps = intervals(*w.q, values, zero, refused);
            if (steps.empty()) {  // strides need levels and an end at 0, two spacings a logarithm
              const bool stride =
                  spacing == std::string("leading") || spacing == std::string("trailing");
              const bool logarithm =
                  spacing == std::string("log-snr") || spacing == std::string("karras");
              EXPECT_TRUE((stride && (levels == 0 || !zero ||
                                      S > std::llround(from * static_cast<double>(levels)))) ||
                          (logarithm && !of.finite_snr && from == 1))
                  << what << ": " << refused;
              continue;
            }
            EXPECT_EQ(steps.size(), static_cast<std::size_t>(S)) << what;
            for (std::size_t i = 0; i < steps.size(); ++i) {
              EXPECT_LT(steps[i].s, steps[i].t) << what << ", step " << i;
              if (i > 0) {
                EXPECT_EQ(steps[i].t, steps[i - 1].s) << what;
              }
            }
            const double span =
                static_cast<double>(levels) * (steps.front().t - (zero ? 0 : w.q->t_min()));
            if (levels == 0 || static_cast<double>(S) >= span - 1) continue;
            for (const auto& step : steps)
              EXPECT_NEAR(step.t * static_cast<double>(levels),
                          std::nearbyint(step.t * static_cast<double>(levels)), 1e-9)
                  << what << ": on a level where there is one for each";
          }
  }
}

// lambda's steps are finer than the levels at the noisy end
TEST(Grid, MovesATimeWhoseLevelIsTakenToTheNextFreeOne) {
  const World w = world(plugin("scheduler", "ddpm-cosine", {{"T", 20}}), nullptr, {1});
  const auto f = [](double u) { return std::pow(std::cos((u + 0.008) / 1.008 * M_PI / 2), 2); };
  std::vector<double> abar{1};
  for (int i = 1; i <= 20; ++i)
    abar.push_back(abar.back() * (1 - std::min(1 - f(i / 20.0) / f((i - 1) / 20.0), 0.999)));
  std::string refused;
  const auto steps = intervals(*w.q, {{"steps", 19}, {"spacing", "karras"}}, false, refused);
  ASSERT_EQ(steps.size(), 19u) << refused;
  for (int k = 0; k < 19; ++k)
    EXPECT_NEAR(steps[static_cast<std::size_t>(k)].t, (20 - k) / 20.0, 1e-12)
        << "as many steps as levels";
}

TEST(MultistepSamplers, AreFiniteOnEverySpacing) {
  const Law law = gaussian({0.7, -1.2}, {0.5, 1.3});
  const std::vector<Json> samplers{plugin("step", "dpm-solver-pp", {{"order", 2}}),
                                   plugin("step", "dpm-solver-pp", {{"order", 3}}),
                                   plugin("step", "dpm-solver-pp", {{"order", 2}, {"sde", true}}),
                                   plugin("step", "unipc", {{"order", 2}}),
                                   plugin("step", "unipc", {{"order", 3}}),
                                   plugin("step", "deis", {{"order", 3}})};
  for (const Process& of : processes()) {
    const World w = exact(plugin("scheduler", of.name, of.params), law);
    const at::Tensor x = w.prior(3);
    for (const char* spacing : {"uniform", "quadratic", "log-snr", "karras", "leading", "trailing"})
      for (const std::int64_t S : {3, 10, 50})
        for (const char* to : {"auto", "t_min"}) {
          std::string refused;
          if (intervals(*w.q, {{"steps", S}, {"spacing", spacing}, {"to", to}}, true, refused)
                  .empty())
            continue;
          for (Json config : samplers) {
            // they say that they need finite-snr
            if (!of.finite_snr && config["plugin"] != "dpm-solver-pp") continue;
            config["params"].update({{"steps", S}, {"spacing", spacing}, {"to", to}});
            EXPECT_TRUE(w.sample(config, x).isfinite().all().item<bool>())
                << config["plugin"] << config["params"] << " on " << of.name << of.params;
          }
        }
  }
}

}  // namespace
}  // namespace scorelab::test
