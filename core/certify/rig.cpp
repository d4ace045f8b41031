#include "certify/rig.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace scorelab::certify {
namespace {

Json spec_of(const Json& request, const World& w) {
  const bool mixture = w.dataset["plugin"] == "gaussian-mixture";
  return {
      {"dataset", w.dataset},
      {"scheduler", w.scheduler},
      {"network", own(request, "network", mixture ? "exact-gaussian-mixture" : "exact-gaussian")},
      {"output", nullptr},
      {"guides", Json::array()},
      {"seed", 1},
      {"run", {{"precision", w.dtype}, {"chunk", w.chunk}, {"noise", w.noise}}}};
}

/// Whether the component needs it with its default parameters.
bool needs(const Json& request, const std::string& what) {
  const auto schema = schema::from_json(request.at("schema"));
  return std::any_of(schema.needs.begin(), schema.needs.end(), [&](const auto& n) {
    return n.name == what && schema::holds(n.whens, request["component"]["params"]);
  });
}

Json value_of(const std::string& text, const std::string& type) {
  if (type == "bool") return text == "true";
  if (type == "int") return std::stoll(text);
  if (type == "float") return std::stod(text);
  return text;
}

}  // namespace

Json own(const Json& request, const std::string& kind, const std::string& name, Json params) {
  return {{"plugin", name},
          {"kind", kind},
          {"file", request.at("plugins").get<std::string>() + "/" + name + ".so"},
          {"params", std::move(params)}};
}

Rig::Rig(const Json& request, const World& world)
    : spec_(spec_of(request, world)),
      component_(request.at("component")),
      schema_(schema::from_json(request.at("schema"))),
      setup_(spec_, at::kCPU, true) {
  if (world.corrector)
    around_ = own(request, "sampler", "predictor-corrector",
                  {{"predictor", own(request, "step", "ancestral")}, {"steps", 6}});
  spec_["sample"] = {{"initial", own(request, "initial", "marginal")}, {"max_nfe", 20000}};
}

Json Rig::configured(const Json& changes) const {
  Json out = component_;
  out["params"].update(changes);
  if (around_.is_null()) return out;
  Json around = around_;
  if (changes.contains(GridKeys::steps))
    around["params"][GridKeys::steps] = changes[GridKeys::steps];
  // A step that stands alone has the host's grid, which here is the surrounding sampler's.
  for (const auto& p : schema_.params)
    if (p.group == GridKeys::group) out["params"].erase(p.name);
  around["params"]["corrector"] = out;
  return around;
}

Sampling Rig::sampling(const Json& changes, std::int64_t count, std::uint64_t seed) {
  Json spec = spec_;
  spec["seed"] = seed;
  spec["sample"]["count"] = count;
  return setup_.sampling(configured(changes), spec["sample"], spec, stop);
}

Json Rig::within(const Json& changes) {
  return setup_.within_budget(configured(changes), spec_["sample"], spec_, stop)["params"];
}

at::Tensor Rig::draw(Sampling& s, std::int64_t count) const {
  std::vector<at::Tensor> parts;
  for (std::int64_t first = 0; first < count; first += s.rows())
    parts.push_back(draw_samples(s, first, std::min(s.rows(), count - first)).x);
  return at::cat(parts);
}

bool walks(const Json& request) { return !needs(request, "one-level"); }

std::vector<World> worlds(const Json& request, const std::string& law) {
  // Many dimensions: rules that take norms of one sample, or its error, assume that these hardly
  // depend on a single draw.
  Json mean = Json::array(), std = Json::array();
  for (int d = 0; d < dimensions; ++d) {
    mean.push_back(target_mean[d % 2]);
    std.push_back(target_std[d % 2]);
  }
  const Json data = law == "mixture" ? own(request, "dataset", "gaussian-mixture",
                                           {{"modes", 4},
                                            {"separation", 4.0},
                                            {"dim", dimensions},
                                            {"weights", {0.1, 0.2, 0.3, 0.4}},
                                            {"std", {0.5}}})
                                     : own(request, "dataset", "gaussian",
                                           {{"dim", dimensions}, {"mean", mean}, {"std", std}});
  std::vector<World> out;
  const auto add = [&](const char* name, Json params) {
    out.push_back({own(request, "scheduler", name, std::move(params)), data});
  };
  if (!walks(request)) {
    add("one-level", {{"sigma", 0.3}});
  } else if (needs(request, "levels")) {
    // few levels: a sampler may stay at each for a hundred evaluations
    add("ddpm-linear", {{"T", 32}, {"beta_end", 0.42}});
    add("ncsn-ladder", {{"L", 12}, {"sigma_max", 5.0}});
  } else {
    add("vp", {{"t_min", 1e-3}});
    add("ve", {{"sigma_max", 10.0}, {"t_min", 1e-3}});
    add("sub-vp", {{"t_min", 1e-2}});
  }
  return out;
}

std::string name(const World& world) { return world.scheduler["plugin"]; }

bool has_grid(const Json& request) {
  const auto& params = request.at("schema").at("params");
  return std::any_of(params.begin(), params.end(),
                     [](const Json& p) { return p.value("group", "") == GridKeys::group; });
}

Json steps(const Json& request, std::int64_t n) {
  return has_grid(request) ? Json{{GridKeys::steps, n}}
                           : request.value("shortened", Json::object());
}

Json shortened(const Json& request) {
  constexpr std::int64_t many = 500;
  Json out = Json::object();
  if (has_grid(request)) return out;
  const auto cost = [&](std::int64_t bound) {
    Rig rig(request, worlds(request, "gaussian").front());
    Sampling s = rig.sampling(out, 1);
    return dry_run(s, bound);
  };
  if (cost(many)) return out;
  for (const auto& p : schema::from_json(request.at("schema")).params)
    if (p.type == "int" && p.initial >= 20) out[p.name] = p.initial.get<std::int64_t>() / 10;
  try {
    if (!out.empty()) cost(0);
  } catch (const Error&) {  // it refuses these
    out.clear();
  }
  return out;
}

std::vector<Json> others(const schema::Param& p) {
  std::vector<Json> out;
  const auto add = [&](double v) {
    if (p.low && (v < *p.low || v > *p.high)) return;
    const Json value = p.type == "int" ? Json(static_cast<std::int64_t>(std::llround(v))) : Json(v);
    if (value != p.initial) out.push_back(value);
  };
  for (const auto& word : p.words)
    if (word != p.initial) out.emplace_back(word);
  if (p.type == "bool") out.emplace_back(!p.initial.get<bool>());
  if (p.type == "int" || p.type == "float" || p.type == "number-or-word") {
    const double v = p.initial.is_number() ? p.initial.get<double>() : 1;
    for (const double c : {1.5 * v, 0.5 * v, v + 3, 7.0, 0.5, 1.0, 2.0, 0.1}) add(c);
    if (p.type == "float" && p.low) {
      add(*p.low);
      add(*p.high);
    }
  }
  if (p.type == "floats" || p.type == "ints") {
    Json list = p.initial;
    for (auto& v : list)
      v = p.type == "ints" ? Json(v.get<std::int64_t>() + 1) : Json(1.5 * v.get<double>());
    if (list != p.initial) out.push_back(list);
  }
  if (p.type == "slot" && p.initial != "none") out.emplace_back("none");
  return out;
}

Json activated(const schema::Schema& schema, const schema::Param& p) {
  Json out = Json::object();
  for (const auto& w : p.whens) {
    const auto* key = schema.find(w.key);
    if (!key) continue;
    if (w.above) {
      const double more = std::min(*w.above + 10, key->high.value_or(1e300));
      out[w.key] = key->type == "int" ? Json(static_cast<std::int64_t>(more)) : Json(more);
    } else if (std::find(w.values.begin(), w.values.end(), schema::text(key->initial)) ==
                   w.values.end() &&
               !w.values.empty()) {
      out[w.key] = value_of(w.values.front(), key->type);
    }
  }
  return out;
}

}  // namespace scorelab::certify
