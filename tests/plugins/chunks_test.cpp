#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "testing.h"

namespace scorelab::test {
namespace {

Json pc(Json predictor, Json corrector, int steps) {
  return plugin("sampler", "predictor-corrector",
                {{"steps", steps},
                 {"predictor", std::move(predictor)},
                 {"corrector", std::move(corrector)},
                 {"denoise", true}});
}

struct Case {
  std::string name;
  Json scheduler, sampler;
};

std::vector<Case> every_sampler() {
  const Json vp = plugin("scheduler", "vp"), ve = plugin("scheduler", "ve"),
             ddpm = plugin("scheduler", "ddpm-linear", {{"T", 50}});
  const Json ladder = plugin("scheduler", "ncsn-ladder", {{"L", 4}});
  const Json em = plugin("step", "euler-maruyama"),
             langevin = plugin("step", "langevin", {{"repeats", 3}});
  std::vector<Case> out{
      {"ancestral", ddpm, plugin("step", "ancestral", {{"steps", 4}})},
      {"ancestral small", ve, plugin("step", "ancestral", {{"variance", "small"}, {"steps", 4}})},
      {"euler-maruyama", vp, plugin("step", "euler-maruyama", {{"steps", 4}, {"denoise", true}})},
      {"reverse-diffusion", ddpm, plugin("step", "reverse-diffusion", {{"steps", 4}})},
      {"reverse-diffusion ode", ve,
       plugin("step", "reverse-diffusion", {{"ode", true}, {"steps", 4}})},
      {"langevin snr", plugin("scheduler", "one-level"),
       plugin("step", "langevin", {{"steps", 4}})},
      {"langevin fixed", plugin("scheduler", "one-level"),
       plugin("step", "langevin", {{"steps", 4}, {"rule", "fixed"}, {"eps", 0.01}})},
      {"annealed-langevin", ladder,
       plugin("sampler", "annealed-langevin", {{"T", 2}, {"eps", 1e-5}, {"denoise", true}})},
      {"predictor-corrector", vp, pc(em, langevin, 4)},
      {"predictor-corrector ddpm", ddpm, pc(plugin("step", "ancestral"), langevin, 4)}};
  for (const char* solver : {"euler", "heun", "rk4"})
    out.push_back({std::string("pf-ode ") + solver, vp,
                   plugin("sampler", "pf-ode", {{"solver", solver}, {"steps", 3}})});
  out.push_back({"pf-ode rk45", vp,
                 plugin("sampler", "pf-ode",
                        {{"solver", "rk45"}, {"rtol", 1e-3}, {"atol", 1e-3}, {"first", 0.9}})});
  const Json edm = plugin("scheduler", "edm"), flow = plugin("scheduler", "flow"),
             sub_vp = plugin("scheduler", "sub-vp");
  const auto step = [&](const std::string& name, const char* plugin_name, const Json& scheduler,
                        Json params) {
    params["steps"] = 6;
    out.push_back({name, scheduler, plugin("step", plugin_name, std::move(params))});
  };
  step("ancestral analytic", "ancestral", vp, {{"variance", "analytic"}});
  step("ddim", "ddim", flow, Json::object());
  step("ddim eta", "ddim", sub_vp, {{"eta", 0.7}});
  step("ddim hat", "ddim", ddpm, {{"sigma", "hat"}});
  step("dpm-solver-pp 2M", "dpm-solver-pp", vp, Json::object());
  step("dpm-solver-pp 3M", "dpm-solver-pp", edm, {{"order", 3}});
  step("dpm-solver-pp 2S", "dpm-solver-pp", flow, {{"method", "singlestep"}});
  step("dpm-solver-pp sde", "dpm-solver-pp", ddpm, {{"sde", true}});
  step("deis", "deis", vp, {{"order", 4}});
  step("unipc", "unipc", vp, {{"order", 3}});
  step("stochastic-heun", "stochastic-heun", vp, Json::object());
  out.push_back({"edm-heun", edm, plugin("sampler", "edm-heun", {{"steps", 4}})});
  out.push_back(
      {"edm-heun churn", vp, plugin("sampler", "edm-heun", {{"steps", 4}, {"S_churn", 2.0}})});
  out.push_back(
      {"adaptive-sde", vp, plugin("sampler", "adaptive-sde", {{"rtol", 0.5}, {"atol", 0.1}})});
  return out;
}

/// Whether a sampler of that name draws noise.
bool noisy(const std::string& name) {
  for (const char* flow :
       {"pf-ode euler", "pf-ode heun", "pf-ode rk4", "pf-ode rk45", "reverse-diffusion ode", "ddim",
        "dpm-solver-pp 2M", "dpm-solver-pp 3M", "dpm-solver-pp 2S", "deis", "unipc", "edm-heun"})
    if (name == flow) return false;
  return true;
}

struct Sampled {
  at::Tensor x;
  std::vector<std::int64_t> nfe;
};

/// `total` samples in calls of `call` samples, the network evaluated `chunk` rows at a time.
Sampled in_calls(const World& w, const Json& sampler, std::int64_t total, std::int64_t call,
                 std::int64_t chunk) {
  std::vector<at::Tensor> parts;
  Sampled out;
  w.context->chunk = chunk;
  for (std::int64_t first = 0; first < total; first += call) {
    const std::int64_t n = std::min(call, total - first);
    parts.push_back(w.sample(sampler, w.prior(n, first), first));
    out.nfe.insert(out.nfe.end(), w.nfe().begin(), w.nfe().end());
  }
  w.context->chunk = 0;
  out.x = at::cat(parts);
  return out;
}

TEST(Chunks, SamplesHaveTheSameBitsInChunksOf1And7And64) {
  const Law one = gaussian({0.7, -1.2, 0.0}, {0.5, 1.0, 2.0});
  for (const auto& [law, dtype] :
       std::vector<std::pair<Law, at::ScalarType>>{{one, at::kDouble},
                                                   {three_modes(), at::kFloat},
                                                   {turned_modes(), at::kDouble},
                                                   {turned_modes(), at::kFloat}})
    for (const Case& c : every_sampler()) {
      const World w = exact(c.scheduler, law, {}, dtype);
      const Sampled whole = in_calls(w, c.sampler, 65, 65, 0);
      EXPECT_EQ(whole.x.scalar_type(), dtype) << c.name;
      EXPECT_TRUE(whole.x.isfinite().all().item<bool>()) << c.name;
      for (const auto& [call, chunk] : std::vector<std::pair<std::int64_t, std::int64_t>>{
               {1, 1}, {7, 7}, {64, 64}, {65, 7}, {7, 64}}) {
        const Sampled parts = in_calls(w, c.sampler, 65, call, chunk);
        EXPECT_TRUE(same_bits(parts.x, whole.x))
            << c.name << ", " << dtype << ", calls of " << call << ", chunks of " << chunk;
        EXPECT_EQ(parts.nfe, whole.nfe) << c.name << ": a row's cost is its own";
      }
    }
}

TEST(Chunks, GroupsOfSamplesHaveTheSameBitsInAnyCallThatHoldsWholeGroups) {
  for (const auto dtype : {at::kDouble, at::kFloat})
    for (const Case& c : every_sampler()) {
      World w = exact(c.scheduler, three_modes(), {}, dtype);
      w.group = 5;
      const Sampled whole = in_calls(w, c.sampler, 70, 70, 0);
      for (const std::int64_t call : {5, 35})
        EXPECT_TRUE(same_bits(in_calls(w, c.sampler, 70, call, 7).x, whole.x))
            << c.name << ", calls of " << call;
    }
}

/// Puts the number of threads back, whatever happens.
struct Threads {
  explicit Threads(int n) { at::set_num_threads(n); }
  ~Threads() { at::set_num_threads(before); }
  int before = at::get_num_threads();
};

TEST(Chunks, LargeSamplesHaveTheSameBitsAloneAndTogetherWithTwoThreads) {
  // 40,000 elements: LibTorch splits the sum of a single row, not those of two.
  const Threads two(2);
  const std::int64_t D = 40000;
  const at::Tensor ramp = at::linspace(-1, 1, D, at::kDouble);
  const Law one{
      at::ones({1}, at::kDouble), ramp.unsqueeze(0), (0.5 + ramp.square()).unsqueeze(0), {}};
  const Law both{at::tensor({0.4, 0.6}, at::kDouble),
                 at::stack({ramp, -ramp}),
                 at::stack({0.5 + ramp.square(), 0.7 + ramp.abs()}),
                 {}};
  for (const auto& [law, dtype] :
       std::vector<std::pair<Law, at::ScalarType>>{{one, at::kFloat}, {both, at::kDouble}})
    for (Case& c : every_sampler()) {
      if (c.name != "euler-maruyama" && c.name != "langevin snr" &&
          c.name != "predictor-corrector" && c.name != "pf-ode rk45" && c.name != "adaptive-sde")
        continue;
      if (c.sampler["params"].contains("steps")) c.sampler["params"]["steps"] = 2;
      if (c.sampler["params"].contains("rtol"))
        c.sampler["params"]["rtol"] = c.sampler["params"]["atol"] =
            c.name == "adaptive-sde" ? 1 : 1e-2;
      const World w = exact(c.scheduler, law, {1, 200, 200}, dtype);
      EXPECT_TRUE(same_bits(in_calls(w, c.sampler, 3, 1, 1).x, in_calls(w, c.sampler, 3, 3, 0).x))
          << c.name << ", " << dtype;
    }
}

TEST(Chunks, SamplesAreAFunctionOfTheSeed) {
  for (const Case& c : every_sampler()) {
    World w = exact(c.scheduler, three_modes());
    const at::Tensor x = w.prior(4), y = w.sample(c.sampler, x);
    EXPECT_TRUE(same_bits(w.sample(c.sampler, x), y)) << c.name;
    const at::Tensor other = (w.seed = 12, w.sample(c.sampler, x));
    EXPECT_EQ(same_bits(other, y), !noisy(c.name)) << c.name;
  }
}

TEST(Chunks, NothingIsDrawnFromTheDefaultGenerator) {
  const auto state = [] { return at::globalContext().defaultGenerator(at::kCPU).get_state(); };
  const at::Tensor before = state();
  for (const Case& c : every_sampler())
    exact(c.scheduler, three_modes()).sample(c.sampler, at::ones({2, 2}, at::kDouble));
  EXPECT_TRUE(at::equal(state(), before));
  at::randn({1}, at::kDouble);
  EXPECT_FALSE(at::equal(state(), before));  // the comparison can fail
}

}  // namespace
}  // namespace scorelab::test
