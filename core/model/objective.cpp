#include <ATen/ATen.h>
#include <scorelab/error.h>
#include <scorelab/objective.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace scorelab {

State::~State() = default;
Objective::~Objective() = default;
void Objective::state(State& s) { times.state(s); }
std::vector<OwnNetwork*> Objective::networks() { return {}; }
at::Tensor Objective::loss_of(const OwnNetwork& network, TrainRun&, const TrainBatch&) const {
  throw Error("it trains the network `" + network.name() +
              "`, and has no loss for it: override loss_of");
}
std::optional<double> Objective::average_rate(std::int64_t, std::int64_t) const { return {}; }

TimeLaw TimeLaw::unlearnt() const {
  TimeLaw out = *this;
  out.history_ = at::Tensor();
  return out;
}

void TimeLaw::params(Params& p) {
  p("times", times_,
    "how t is drawn: uniform over the levels, or over [t_min, t_max] where there are none; levels; "
    "antithetic: half of them, and their mirror images; stratified: one in each of equal shares of "
    "the range; log-normal: log(sigma/alpha) is normal (Karras et al. 2022); importance: by "
    "g^2/sigma^2, which is uniform in log(alpha/sigma) (Song et al. 2021, Durkan & Song 2021), or "
    "levels by what it falls by from the one below; loss-second-moment: levels by the root of the "
    "mean square of their last ten losses (Nichol & Dhariwal 2021)")
      .one_of({"uniform", "levels", "antithetic", "stratified", "log-normal", "importance",
               "loss-second-moment"});
  p("times_mean", mean_, "mean of log(sigma/alpha)").range(-100, 100).when("times", {"log-normal"});
  p("times_std", std_, "standard deviation of log(sigma/alpha)")
      .range(1e-6, 100)
      .when("times", {"log-normal"});
  p.needs("levels", "`times` draws a level").when("times", {"levels", "loss-second-moment"});
  p.needs("path", "`times` follows the noise level").when("times", {"log-normal", "importance"});
  p.needs("finite-snr", "`times` is uniform in a logarithm that has no end where alpha is 0")
      .when("times", {"importance"});
}

namespace {

/// The times at which log(alpha/sigma) is so; its ends are those of the process.
std::vector<double> at_lambda(const Scheduler& q, const std::vector<double>& u,
                              const std::function<double(double)>& lambda_of) {
  const double clean = q.lambda(q.t_min()).one(), noisy = q.lambda(q.t_max()).one();
  std::vector<double> t;
  for (const double v : u) {
    const double lambda = lambda_of(v);
    t.push_back(lambda >= clean   ? q.t_min()
                : lambda <= noisy ? q.t_max()
                                  : std::clamp(q.t_of(lambda), q.t_min(), q.t_max()));
  }
  return t;
}

constexpr std::int64_t remembered = 10;

}  // namespace

void TimeLaw::learn(const Scheduler& q, const Times& t, const std::vector<double>& losses) {
  const std::int64_t levels = q.levels();
  if (!history_.defined()) history_ = at::zeros({levels, remembered + 1}, at::kDouble);
  auto seen = history_.accessor<double, 2>();
  for (std::size_t r = 0; r < losses.size(); ++r) {
    auto of =
        seen[std::clamp<std::int64_t>(std::llround(t[r] * static_cast<double>(levels)), 1, levels) -
             1];
    const auto count = static_cast<std::int64_t>(of[remembered]);
    if (count == remembered)
      for (std::int64_t i = 1; i < remembered; ++i) of[i - 1] = of[i];
    of[std::min(count, remembered - 1)] = losses[r];
    of[remembered] = static_cast<double>(std::min(count + 1, remembered));
  }
}

/// Nichol & Dhariwal 2021, section 3.3: uniform until every level has its losses; then one in a
/// thousand still is.
std::vector<double> TimeLaw::chances(std::int64_t levels) const {
  const auto n = static_cast<double>(levels);
  const std::vector<double> uniform(static_cast<std::size_t>(levels), 1 / n);
  if (!history_.defined() || history_.select(1, remembered).min().item<double>() < remembered)
    return uniform;
  const at::Tensor root = history_.narrow(1, 0, remembered).square().mean(1).sqrt();
  const double total = root.sum().item<double>();
  if (!(total > 0)) return uniform;
  const at::Tensor p = 0.999 * root / total + 0.001 / n;
  return {p.const_data_ptr<double>(), p.const_data_ptr<double>() + levels};
}

namespace {

/// Levels by their chances, and what makes means those of levels drawn equally often.
TimeLaw::Drawn by_chance(const std::vector<double>& p, const std::vector<double>& u) {
  const auto n = static_cast<double>(p.size());
  std::vector<double> t, importance;
  for (const double v : u) {
    std::size_t i = 0;
    for (double sum = p[0]; i + 1 < p.size() && v >= sum; sum += p[++i]) {
    }
    t.push_back(static_cast<double>(i + 1) / n);
    importance.push_back(1 / (n * p[i]));
  }
  return {Times(std::move(t)), PerRow(std::move(importance))};
}

/// The share of log(alpha/sigma) that a chain's levels fall by, each from the level below. The
/// first falls from infinity: the second's stands in, as in the posterior's variance.
std::vector<double> falls(const Scheduler& q) {
  const std::int64_t levels = q.levels();
  std::vector<double> at;
  for (std::int64_t i = 1; i <= levels; ++i)
    at.push_back(q.lambda(static_cast<double>(i) / static_cast<double>(levels)).one());
  std::vector<double> out(at.size(), 1);
  for (std::size_t i = at.size() - 1; i > 0; --i) out[i] = at[i - 1] - at[i];
  if (at.size() > 1) out[0] = out[1];
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& fall : out) fall /= sum;
  return out;
}

}  // namespace

TimeLaw::Drawn TimeLaw::draw(const Scheduler& q, const std::vector<double>& u) const {
  if (times_ == "importance" && q.levels() > 0) return by_chance(falls(q), u);
  if (times_ == "importance") {
    const double clean = q.lambda(q.t_min()).one(), noisy = q.lambda(q.t_max()).one();
    const Times t(at_lambda(q, u, [&](double v) { return clean + v * (noisy - clean); }));
    // Uniform density over its own: p(t) = -lambda'(t)/(clean - noisy), and g^2/sigma^2 = -2
    // lambda'.
    const PerRow slope = 0.5 * q.g2(t) / square(q.sigma(t));
    return {t, (clean - noisy) / ((q.t_max() - q.t_min()) * slope)};
  }
  if (times_ == "log-normal")
    return {Times(at_lambda(q, u, [&](double v) {
      return -(mean_ + std_ * at::special_ndtri(at::scalar_tensor(v, at::kDouble)).item<double>());
    }))};
  if (learns()) return by_chance(chances(q.levels()), u);
  const std::size_t rows = u.size(), half = (rows + 1) / 2;
  std::vector<double> t(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    double share = u[r];
    if (times_ == "antithetic" && r >= half) share = 1 - u[r - half];
    if (times_ == "stratified") share = (static_cast<double>(r) + u[r]) / static_cast<double>(rows);
    const auto n = static_cast<double>(q.levels());
    if (n > 0)
      t[r] = std::min(n, 1 + std::floor(share * n)) / n;
    else
      t[r] = q.t_min() + share * (q.t_max() - q.t_min());
  }
  return {Times(std::move(t))};
}

}  // namespace scorelab
