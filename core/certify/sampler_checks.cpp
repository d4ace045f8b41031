#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "certify/rig.h"
#include "setup/generator.h"

namespace scorelab::certify {
namespace {

using Check = Json (*)(const Json& request);

double largest(const at::Tensor& x) { return x.abs().max().item<double>(); }

Json shape(const Json& request) {
  for (const char* dtype : {"float32", "float64"})
    for (World w : worlds(request, "gaussian")) {
      w.dtype = dtype;
      Rig rig(request, w);
      Sampling s = rig.sampling(steps(request, 4));
      // the rig throws where a sampler's result has another shape or dtype
      const at::Tensor x = rig.draw(s, 8);
      if (x.sizes() != at::IntArrayRef({8, dimensions}))
        throw Failed(fmt::format("{}, {}: 8 samples of {} numbers became {}", name(w), dtype,
                                 dimensions, c10::str(x.sizes())));
    }
  return {{"detail", "float32 and float64"}};
}

Json effect(const Json& request) {
  const auto schema = schema::from_json(request.at("schema"));
  std::vector<std::string> without;
  std::size_t tried = 0;
  // what ends with a look at t_min has no effect on a grid that ends at 0
  std::vector<std::pair<World, Json>> places;
  for (const auto& w : worlds(request, "mixture")) {
    places.emplace_back(w, Json::object());
    if (has_grid(request)) places.emplace_back(w, Json::object({{GridKeys::to, "t_min"}}));
  }
  if (!walks(request)) {
    World as_corrector = places.front().first;
    as_corrector.corrector = true;
    as_corrector.scheduler =
        own(request, "scheduler", "ddpm-linear", {{"T", 20}, {"beta_end", 0.4}});
    places.emplace_back(as_corrector, Json::object());
  }
  for (const auto& p : schema.params) {
    const bool of_grid = p.group == GridKeys::group && p.name != GridKeys::steps;
    if (p.reporting ||
        (of_grid && (!walks(request) || p.name == GridKeys::nfe || p.name == GridKeys::refine)))
      continue;  // the check `budget`, and the grid's own tests
    const Json active = activated(schema, p);
    const auto values = others(p);
    ++tried;
    bool changes = false;
    std::string refused;
    for (const auto& [w, end] : places) {
      const auto samples = [&, &w = w, &end = end](const Json& own) -> std::optional<at::Tensor> {
        Rig rig(request, w);
        Json changed = steps(request, 6);
        changed.update(end);
        changed.update(active);
        changed.update(own);
        try {
          Sampling s = rig.sampling(changed, 16);
          return rig.draw(s, 16);
        } catch (const Stopped&) {
          throw;
        } catch (const std::exception& e) {
          refused = e.what();
          return {};
        }
      };
      const auto before = samples(Json::object());
      if (!before) continue;
      for (const auto& value : values) {
        Json own = Json::object();
        own[p.name] = value;
        const auto after = samples(own);
        if (changes = after && !after->equal(*before); changes) break;
      }
      if (changes) break;
    }
    if (!changes) without.push_back(p.name + (refused.empty() ? "" : " (" + refused + ")"));
  }
  if (!without.empty()) throw Failed(fmt::format("changes nothing: {}", fmt::join(without, ", ")));
  return {{"detail", fmt::format("{} parameters", tried)}};
}

Json finite(const Json& request) {
  for (const char* dtype : {"float32", "float64"})
    for (World w : worlds(request, "mixture")) {
      w.dtype = dtype;
      for (const std::int64_t n : {1, 2, 3, 50}) {
        Rig rig(request, w);
        Sampling s = rig.sampling(steps(request, n));
        rig.draw(s, 16);  // throws with the step, t and tensor
        if (!has_grid(request)) break;
      }
    }
  return {{"detail", has_grid(request) ? "1, 2, 3 and 50 steps" : "as it is"}};
}

Json generators(const Json& request) {
  for (const auto& w : worlds(request, "gaussian")) {
    Rig rig(request, w);
    const host::KeepGenerator keep;
    Sampling s = rig.sampling(steps(request, 4));
    rig.draw(s, 8);
    if (keep.changed())
      throw Failed("it drew from LibTorch's default generator: every draw belongs to run.noise");
  }
  return {{"detail", "untouched"}};
}

Json repeatable(const Json& request) {
  for (const auto& w : worlds(request, "mixture")) {
    Rig rig(request, w);
    Sampling s = rig.sampling(steps(request, 5));
    const at::Tensor first = rig.draw(s, 32);
    s.seed = 2;
    rig.draw(s, 32);
    s.seed = 1;
    if (!rig.draw(s, 32).equal(first))
      throw Failed(
          fmt::format("{}: the same seed gave other samples after another call: state between "
                      "calls, or a generator of its own",
                      name(w)));
    Sampling fresh = rig.sampling(steps(request, 5));
    if (!rig.draw(fresh, 32).equal(first))
      throw Failed(
          fmt::format("{}: a fresh sampler gave other samples for the same seed", name(w)));
  }
  return {{"detail", "to the last bit"}};
}

Json chunks(const Json& request) {
  for (const char* dtype : {"float32", "float64"})
    for (World w : worlds(request, "mixture")) {
      w.dtype = dtype;
      std::optional<at::Tensor> first;
      for (const std::int64_t chunk : {64, 7, 1}) {
        w.chunk = chunk;
        Rig rig(request, w);
        Sampling s = rig.sampling(steps(request, 5));
        const at::Tensor x = rig.draw(s, 20);
        if (!first) first = x;
        if (!x.equal(*first))
          throw Failed(
              fmt::format("{}, {}: in chunks of {} samples are off by up to {:.3g} from those in "
                          "one of 64: rows see each other, or draws are not run.noise's",
                          name(w), dtype, chunk, largest(x - *first)));
      }
    }
  return {{"detail", "chunks of 1, 7 and 64"}};
}

Json seeds(const Json& request) {
  for (const auto& w : worlds(request, "gaussian")) {
    Rig rig(request, w);
    Sampling s = rig.sampling(steps(request, 5));
    const at::Tensor x = rig.draw(s, 4);
    s.seed = 2;
    if (rig.draw(s, 4).equal(x))
      throw Failed(fmt::format("{}: two seeds gave the same samples", name(w)));
  }
  return {{"detail", "differ"}};
}

/// Whether its `from` is that of the shared grid, and no parameter of its own.
bool has_grid(const Json& request) {
  const auto schema = schema::from_json(request.at("schema"));
  return std::any_of(schema.params.begin(), schema.params.end(), [](const auto& p) {
    return p.name == "from" && p.initial == "t_max" && p.type == "number-or-word";
  });
}

/// Where it says that it starts is where it asks first, also from the middle of the process.
void starts(const Json& request, const World& w) {
  for (const bool middle : {false, true}) {
    if (middle && !has_grid(request)) continue;
    Rig rig(request, w);
    Json params = steps(request, 6);
    if (middle) params["from"] = (rig.scheduler().t_min() + rig.scheduler().t_max()) / 2;
    Sampling s = rig.sampling(params);
    std::vector<double> asked;
    s.context.look = [&](const at::Tensor&, const Times& t, const at::Tensor&) {
      asked.push_back(t.max_value());
    };
    rig.draw(s, 4);
    if (asked.empty()) throw Failed("it never asked the model");
    const double said = s.sampler->start(rig.scheduler());
    // What adds noise before it asks may ask above.
    if (middle ? asked.front() < said * (1 - 1e-9) : std::abs(asked.front() - said) > 1e-9 * said)
      throw Failed(
          fmt::format("{}: its first evaluation is at t = {}, and start() says {}: it returns the "
                      "grid's, grid_.first(..)",
                      name(w), asked.front(), said));
  }
}

Json grid(const Json& request) {
  const bool has_steps = has_grid(request);
  for (const auto& w : worlds(request, "gaussian")) {
    if (walks(request)) starts(request, w);
    Rig rig(request, w);
    Sampling s = rig.sampling(steps(request, 6));
    std::vector<double> told, asked;
    s.observe = [&](const Times& t, const at::Tensor&) { told.push_back(t.max_value()); };
    s.context.look = [&](const at::Tensor&, const Times& t, const at::Tensor&) {
      asked.push_back(t.max_value());
    };
    rig.draw(s, 4);
    const double start = rig.scheduler().t_max(), end = rig.scheduler().t_min();
    if (asked.empty()) throw Failed("it never asked the model");
    if (walks(request) && std::abs(asked.front() - start) > 1e-9 * start)
      throw Failed(fmt::format("{}: its first evaluation is at t = {}, but samples start at t = {}",
                               name(w), asked.front(), start));
    if (told.empty())
      throw Failed(
          fmt::format("{}: it never told where it is: run.observe(t, x), once a step", name(w)));
    if (has_steps && told.size() != 6)
      throw Failed(
          fmt::format("{}: {} steps were asked for, and it told of {}", name(w), 6, told.size()));
    if (walks(request) && !(told.back() <= end * (1 + 1e-9)))
      throw Failed(fmt::format("{}: it ends at t = {}, not at {} or 0", name(w), told.back(), end));
    if (walks(request) && !std::is_sorted(told.rbegin(), told.rend()))
      throw Failed(fmt::format("{}: its times go up on the way", name(w)));
  }
  return {{"detail", has_steps ? "6 steps, from t_max to the end" : "from t_max to the end"}};
}

Json budget(const Json& request) {
  if (!has_grid(request)) throw Skipped("it has no time grid");
  std::vector<std::string> spent;
  for (const auto& w : worlds(request, "gaussian"))
    for (const std::int64_t nfe : {7, 20}) {
      Rig rig(request, w);
      Json params = Json::object();
      params[GridKeys::nfe] = nfe;
      params = rig.within(params);
      Sampling s = rig.sampling(params);
      const auto cost = draw_samples(s, 0, 8).nfe;
      const auto [low, high] = std::minmax_element(cost.begin(), cost.end());
      if (*high > nfe)
        throw Failed(fmt::format("{}: {} evaluations under a budget of {}", name(w), *high, nfe));
      spent.push_back(fmt::format("{} of {}", *high, nfe));
    }
  return {{"detail", fmt::format("{}", fmt::join(spent.begin(), spent.begin() + 2, ", "))}};
}

Json cancel(const Json& request) {
  std::int64_t checked = 0;
  for (const auto& w : worlds(request, "gaussian")) {
    std::int64_t total = 0;
    {
      Rig rig(request, w);
      Sampling s = rig.sampling(steps(request, 6));
      s.context.look = [&](const at::Tensor&, const Times&, const at::Tensor&) { ++total; };
      rig.draw(s, 4);
    }
    const std::int64_t stride = std::max<std::int64_t>(1, total / 40);
    for (std::int64_t k = 1; k < total; k += stride) {
      Rig rig(request, w);
      Sampling s = rig.sampling(steps(request, 6));
      std::int64_t n = 0;
      s.context.look = [&](const at::Tensor&, const Times&, const at::Tensor&) {
        if (++n == k) throw Stopped();
      };
      bool stopped = false;
      try {
        rig.draw(s, 4);
      } catch (const Stopped&) {
        stopped = true;
      }
      if (!stopped || n > k)
        throw Failed(fmt::format(
            "{}: asked to stop in evaluation {} of {}, it went on: it must let Stopped pass",
            name(w), k, total));
      ++checked;
    }
  }
  return {{"detail", fmt::format("at {} places", checked)}};
}

const std::vector<std::pair<std::string, Check>> all{
    {"shape", shape},           {"effect", effect}, {"finite", finite}, {"generators", generators},
    {"repeatable", repeatable}, {"chunks", chunks}, {"seeds", seeds},   {"grid", grid},
    {"budget", budget},         {"cancel", cancel}};

}  // namespace

Json check_sampler(const std::string& check, const Json& request) {
  for (const auto& [name, run] : all) {
    if (name != check) continue;
    Json brief = request;
    brief["shortened"] = shortened(request);
    Json out = run(brief);
    for (const auto& [key, value] : brief["shortened"].items())
      out["detail"] =
          fmt::format("{}; with {} = {}", out["detail"].get<std::string>(), key, value.dump());
    return out;
  }
  return check_sampler_law(check, request);
}

}  // namespace scorelab::certify
