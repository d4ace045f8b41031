#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "certify/rig.h"
#include "model/run_state.h"

namespace scorelab::certify {
namespace {

using Check = Json (*)(const Json& request);

/// Mean and standard deviation of even and odd dimensions: exact where the sampler is affine,
/// otherwise of samples.
struct Found {
  double mean[2], std[2];
  double error = 0;  // of a mean, relative to the standard deviation
};
Found found_in(const at::Tensor& mean, const at::Tensor& variance) {
  Found out{};
  for (int d = 0; d < 2; ++d) {
    out.mean[d] = mean.view({-1, 2}).select(1, d).mean().item<double>();
    out.std[d] = std::sqrt(variance.view({-1, 2}).select(1, d).mean().item<double>());
  }
  return out;
}
Found moments_of(Rig& rig, const Json& changes, std::int64_t count,
                 std::optional<ExactMoments>& exact) {
  Sampling s = rig.sampling(changes, count);
  try {
    exact = exact_moments(s);
    return found_in(exact->moments.mean, exact->moments.variance);
  } catch (const Stopped&) {
    throw;
  } catch (const std::exception&) {
    exact.reset();
  }
  Sampling again = rig.sampling(changes, count);
  const at::Tensor x = rig.draw(again, count).to(at::kDouble);
  Found out = found_in(x.mean(0), x.var(0));
  out.error = 5 / std::sqrt(static_cast<double>(count * dimensions / 2));
  return out;
}

/// As many samples as wanted, or as 1.5 million evaluations buy, at least 500: bounds are in
/// standard errors, so that fewer samples only show less.
std::int64_t affordable(Rig& rig, const Json& changes, std::int64_t wanted) {
  Sampling s = rig.sampling(changes, 1);
  const std::int64_t nfe = std::max<std::int64_t>(1, dry_run(s, 0).value_or(1));
  return std::clamp<std::int64_t>(1500000 / nfe / 500 * 500, 500, wanted);
}

/// `vp 1.3 (3000 samples)`, one after another.
void say(std::string& detail, const World& w, const std::string& text) {
  const Json& params = w.scheduler["params"];
  std::string levels;
  for (const char* key : {"T", "L"})
    if (params.contains(key)) levels = fmt::format(" of {} levels", params[key].get<int>());
  detail += fmt::format("{}{}{} {}", detail.empty() ? "" : ", ", name(w), levels, text);
}

Json gaussian(const Json& request) {
  if (!walks(request)) throw Skipped("it stays at one noise level");
  Json measured = Json::object();
  std::string detail;
  const double tolerance = has_grid(request) ? 0.02 : 0.05;
  for (auto w : worlds(request, "gaussian")) {
    w.chunk = 500;
    Rig rig(request, w);
    std::optional<ExactMoments> exact;
    const std::int64_t count = affordable(rig, steps(request, 400), 1000);
    const Found found = moments_of(rig, steps(request, 400), count, exact);
    const auto &mean = target_mean, &std = target_std;
    double worst = 0;
    for (int d = 0; d < 2; ++d) {
      const double off_mean = std::abs(found.mean[d] - mean[d]) / std[d],
                   off_std = std::abs(found.std[d] / std[d] - 1);
      worst = std::max({worst, off_mean, off_std});
      if (off_mean > tolerance + found.error || off_std > tolerance + found.error)
        throw Failed(fmt::format(
            "{}: mean {:.4f} and standard deviation {:.4f} in {} dimensions; the target has {} and "
            "{}",
            name(w), found.mean[d], found.std[d], d == 0 ? "even" : "odd", mean[d], std[d]));
    }
    measured[name(w)] = worst;
    say(detail, w,
        fmt::format("{:.2g}%{}", 100 * worst, exact ? "" : fmt::format(" ({} samples)", count)));
  }
  return {{"detail", "off by " + detail}, {"relative_error", measured}};
}

Json mixture(const Json& request) {
  if (!walks(request)) throw Skipped("it stays at one noise level");
  Json measured = Json::object();
  std::string detail;
  for (auto w : worlds(request, "mixture")) {
    w.chunk = 500;
    Rig rig(request, w);
    const std::int64_t count = affordable(rig, steps(request, 200), 3000);
    Sampling s = rig.sampling(steps(request, 200), count);
    const at::Tensor x = rig.draw(s, count);
    const Law& law = rig.law();
    // Modes overlap little: the share of a cell of the nearest mean is that of 100,000 exact draws.
    const auto shares = [&](const at::Tensor& y) {
      return at::cdist(y, law.means).argmin(1).bincount({}, law.weights.size(0)).to(at::kDouble);
    };
    Noise noise(7, "exact");
    const at::Tensor like = at::empty({100000, dimensions}, at::kDouble);
    const at::Tensor k =
        (noise.uniform(at::empty({100000, 1}, at::kDouble)) >= law.weights.cumsum(0).unsqueeze(0))
            .sum(1)
            .clamp_max(law.weights.size(0) - 1);
    const at::Tensor exact =
        law.means.index_select(0, k) + noise.normal(like) * law.variances.index_select(0, k).sqrt();
    const at::Tensor expected = shares(exact) * (static_cast<double>(count) / 100000),
                     seen = shares(x);
    const double chi2 = ((seen - expected).square() / expected).sum().item<double>();
    if (chi2 > 25)  // 3 degrees of freedom: p = 1.5e-5
      throw Failed(
          fmt::format("{}: chi-square {:.1f} on 3 degrees of freedom: it puts {} of {} samples at "
                      "the modes, of {}",
                      name(w), chi2, c10::str(seen), count, c10::str(expected)));
    measured[name(w)] = chi2;
    say(detail, w, fmt::format("{:.1f} ({} samples)", chi2, count));
  }
  return {{"detail", "chi-square " + detail}, {"chi_square", measured}};
}

Json moments(const Json& request) {
  std::string detail;
  for (auto w : worlds(request, "gaussian")) {
    w.chunk = 500;
    Rig rig(request, w);
    std::optional<ExactMoments> exact;
    const Found found = moments_of(rig, steps(request, 20), 64, exact);
    if (!exact) throw Skipped("it is not affine in x and its draws");
    const std::int64_t count = affordable(rig, steps(request, 20), 2000);
    Sampling s = rig.sampling(steps(request, 20), count);
    s.options.group = w.chunk;  // exact moments take the population's norms
    const at::Tensor x = rig.draw(s, count).to(at::kDouble);
    double worst = 0;
    const Found drawn = found_in(x.mean(0), x.var(0));
    const double n = static_cast<double>(count) * dimensions / 2;
    for (int d = 0; d < 2; ++d) {
      const double z = std::abs(drawn.mean[d] - found.mean[d]) / (found.std[d] / std::sqrt(n));
      const double y = std::abs(drawn.std[d] / found.std[d] - 1) * std::sqrt(2 * n);
      worst = std::max({worst, z, y});
    }
    if (worst > 5)
      throw Failed(fmt::format("{}: {} samples are {:.1f} standard errors from the exact moments",
                               name(w), count, worst));
    say(detail, w, fmt::format("{:.1f} ({} samples)", worst, count));
  }
  return {{"detail", "standard errors: " + detail}};
}

bool discrete(const World& w) {
  return w.scheduler["params"].contains("T") || w.scheduler["params"].contains("L");
}

/// Order from three step counts, without a reference: halving the step divides successive
/// differences by 2^p.
Json order(const Json& request) {
  if (!has_grid(request)) throw Skipped("it has no time grid");
  if (!walks(request)) throw Skipped("it stays at one noise level");
  Json measured = Json::object();
  std::string detail;
  for (const auto& w : worlds(request, "gaussian")) {
    if (discrete(w)) throw Skipped("its process is discrete");
    std::vector<double> std;
    for (const std::int64_t n : {128, 256, 512}) {
      Rig rig(request, w);
      std::optional<ExactMoments> exact;
      const Found found = moments_of(rig, steps(request, n), 64, exact);
      if (!exact) throw Skipped("it is not affine in x and its draws");
      std.push_back(found.std[0] + found.std[1]);
    }
    const double a = std::abs(std[1] - std[0]), b = std::abs(std[2] - std[1]);
    const double p = b < 1e-13 ? 9 : std::log2(a / b);
    measured[name(w)] = p;
    if (!(p > 0.7))
      throw Failed(fmt::format(
          "{}: order {:.2f}: with 128, 256 and 512 steps the standard deviations add up to {}",
          name(w), p, fmt::join(std, ", ")));
    detail += fmt::format("{}{} {:.2f}", detail.empty() ? "" : ", ", name(w), p);
  }
  return {{"detail", "weak order " + detail}, {"order", measured}};
}

/// Hands a sampler draws that are 0, and counts them.
class Counting final : public Sampler {
 public:
  Counting(std::shared_ptr<Sampler> inner, std::int64_t& draws)
      : inner_(std::move(inner)), draws_(draws) {}
  at::Tensor sample(Run& run, at::Tensor x) const override {
    Run counted(
        run.model, run.scheduler,
        Noise::scripted([this](const at::Tensor& like, Noise::Law, std::string_view, std::int64_t) {
          ++draws_;
          return at::zeros_like(like);
        }),
        std::make_shared<Run::State>());
    return inner_->sample(counted, std::move(x));
  }

 private:
  std::shared_ptr<Sampler> inner_;
  std::int64_t& draws_;
};

/// What empties the slots whose steps stay at one noise level: the draws of a corrector are no
/// increments of a path, so that more of its steps are another sampler, not a finer one.
Json without_correctors(const Json& request) {
  Json out = Json::object();
  for (const auto& [key, value] : request["component"]["params"].items()) {
    if (!value.is_object() || !value.contains("plugin")) continue;
    const auto inner = host::make(value);
    Params p;
    inner->params(p);
    if (std::any_of(p.capabilities.begin(), p.capabilities.end(),
                    [](const auto& c) { return c->needed && c->name == "one-level"; }))
      out[key] = nullptr;
  }
  return out;
}

/// Parameters under which a sampler draws noise: its defaults, or where these are deterministic
/// each parameter's first value that does (ddim's eta, EDM's churn).
std::vector<Json> noisy(const Json& request, const World& w, const Json& empty) {
  const auto draws = [&](Json changes) {
    changes.update(steps(request, 4));
    changes.update(empty);
    Rig rig(request, w);
    std::int64_t count = 0;
    Sampling s = rig.sampling(changes, w.chunk);
    s.sampler = std::make_shared<Counting>(s.sampler, count);
    rig.draw(s, w.chunk);
    return count > 0;
  };
  if (draws(Json::object())) return {Json::object()};
  std::vector<Json> out;
  const auto schema = schema::from_json(request.at("schema"));
  const auto noise_comes = [&](const Json& changes) {
    try {
      return draws(changes);
    } catch (const Stopped&) {
      throw;
    } catch (const std::exception&) {  // it refuses this value
      return false;
    }
  };
  for (const auto& p : schema.params) {
    const Json active = activated(schema, p);
    if (!active.empty() && noise_comes(active)) continue;  // another parameter brought the noise
    for (const auto& value : others(p)) {
      Json changes = active;
      changes[p.name] = value;
      if (!noise_comes(changes)) continue;
      out.push_back(changes);
      break;
    }
  }
  return out;
}

/// Whether its author says that its draws follow no path under these parameters.
bool draws_afresh(const Json& request, const Json& changes) {
  Json params = request["component"]["params"];
  params.update(changes);
  const auto gives = schema::from_json(request.at("schema")).gives;
  return std::any_of(gives.begin(), gives.end(), [&](const auto& g) {
    return g.name == "fresh-noise" && schema::holds(g.whens, params);
  });
}

/// `vp with eta = 0.5`.
std::string under(const std::string& what, const Json& changes) {
  std::string out = what;
  for (const auto& [key, value] : changes.items())
    out += fmt::format(" {} {} = {}", out == what ? "with" : "and", key, value.dump());
  return out;
}

/// From the same starts on the same Brownian paths: halving the step divides the root mean square
/// of successive differences by 2^p.
Json strong(const Json& request) {
  // 1/2 in general, 1 where the noise does not depend on x; a fault has 0 or less
  constexpr double least = 0.35;
  constexpr std::int64_t count = 16;
  if (!has_grid(request)) throw Skipped("it has no time grid");
  if (!walks(request)) throw Skipped("it stays at one noise level");
  const Json empty = without_correctors(request);
  auto places = worlds(request, "gaussian");
  for (auto& w : places) {
    if (discrete(w)) throw Skipped("its process is discrete");
    w.noise = "path";
    w.chunk = count;
  }
  const auto settings = noisy(request, places.front(), empty);
  if (settings.empty()) throw Skipped("it draws nothing: deterministic, see `order`");
  Json measured = Json::object();
  std::vector<std::string> found;
  std::string afresh;
  for (const auto& setting : settings) {
    if (draws_afresh(request, setting)) {
      afresh +=
          under(afresh.empty() ? "by its `fresh-noise` its draws follow no path" : ";", setting);
      continue;
    }
    for (const auto& w : places) {
      std::vector<at::Tensor> x;
      for (const std::int64_t n : {64, 128, 256}) {
        Rig rig(request, w);
        Json changes = setting;
        changes.update(steps(request, n));
        changes.update(empty);
        Sampling s = rig.sampling(changes, count);
        x.push_back(rig.draw(s, count));
      }
      const auto rms = [](const at::Tensor& a, const at::Tensor& b) {
        return (a - b).square().mean().sqrt().item<double>();
      };
      const double a = rms(x[0], x[1]), b = rms(x[1], x[2]), p = b < 1e-13 ? 9 : std::log2(a / b);
      const std::string place = under(name(w), setting);
      measured[place] = p;
      if (!(p > least))
        throw Failed(fmt::format(
            "{}: strong order {:.2f}: on the same Brownian paths samples move by {:.3g} from 64 to "
            "128 steps and by {:.3g} from 128 to 256; a step's draw is run.noise's, in a loop of "
            "its own that of run.increments(t, s), times sqrt(t - s); a sampler whose draws are no "
            "increments of a path says p.gives(\"fresh-noise\")",
            place, p, a, b));
      found.push_back(fmt::format("{} {:.2f}", place, p));
    }
  }
  if (found.empty()) throw Skipped(afresh);
  std::string without = afresh.empty() ? "" : "; " + afresh;
  for (const auto& [key, value] : empty.items())
    without += fmt::format("; without its {}, whose draws follow no path", key);
  return {{"detail", fmt::format("strong order {}{}", fmt::join(found, ", "), without)},
          {"strong_order", measured}};
}

/// Error of the standard deviation against evaluations, for a figure.
Json curve(const Json& request) {
  if (!has_grid(request)) throw Skipped("it has no time grid, so there is no budget to give it");
  Json nfe = Json::array(), error = Json::array();
  World w = worlds(request, "gaussian").front();
  w.chunk = 1000;
  for (const std::int64_t budget : {8, 16, 32, 64, 128, 256}) {
    Rig rig(request, w);
    Json params = Json::object();
    params[GridKeys::nfe] = budget;
    params = rig.within(params);
    std::optional<ExactMoments> exact;
    const Found found = moments_of(rig, params, 1000, exact);
    Sampling s = rig.sampling(params);
    nfe.push_back(draw_samples(s, 0, 1).nfe.front());
    error.push_back(
        std::max(std::abs(found.std[0] - target_std[0]), std::abs(found.std[1] - target_std[1])));
  }
  return {{"detail", "drawn"}, {"nfe", nfe}, {"error", error}};
}

const std::vector<std::pair<std::string, Check>> all{{"gaussian", gaussian}, {"mixture", mixture},
                                                     {"moments", moments},   {"order", order},
                                                     {"strong", strong},     {"curve", curve}};

}  // namespace

Json check_sampler_law(const std::string& check, const Json& request) {
  for (const auto& [name, run] : all)
    if (name == check) return run(request);
  throw Error("there is no check " + check);
}

}  // namespace scorelab::certify
