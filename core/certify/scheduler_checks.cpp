#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "certify/around.h"
#include "evaluate/evaluation.h"

namespace scorelab::certify {

namespace {

/// The time at this share of the process, from its clean end to its noisy one.
double at(const Scheduler& q, double share) { return q.t_min() + (q.t_max() - q.t_min()) * share; }

Json check_marginals(const Scheduler& q) {
  double last = 1e300;
  for (int i = 0; i <= 200; ++i) {
    const double t = at(q, i / 200.0), alpha = q.alpha(t).one(), sigma = q.sigma(t).one();
    if (!(std::isfinite(alpha) && std::isfinite(sigma) && alpha >= 0 && sigma >= 0))
      throw Failed(fmt::format("at t = {}: alpha {}, sigma {}", t, alpha, sigma));
    const double snr = sigma > 0 ? alpha / sigma : 1e300;
    if (snr > last)
      throw Failed(fmt::format("alpha/sigma rises at t = {}: it must fall from clean to noisy", t));
    last = snr;
  }
  const double alpha = q.alpha(q.t_max()).one(), sigma = q.sigma(q.t_max()).one(),
               prior = q.prior_std();
  if (!(prior > 0.9 * sigma && prior < 1.1 * std::hypot(alpha, sigma)))
    throw Failed(
        fmt::format("its prior has the standard deviation {}, but x at t = {} has alpha {:.3g} "
                    "and sigma {:.3g}",
                    prior, q.t_max(), alpha, sigma));
  same(std::isfinite(q.conditioning(q.t_max())) && std::isfinite(q.conditioning(q.t_min())),
       "its conditioning is not finite");
  return {{"detail", fmt::format("t from {:.3g} to {:.3g}", q.t_min(), q.t_max())}};
}

Json check_slopes(const Scheduler& q) {
  double worst = 0;
  for (const double share : {0.0313, 0.2341, 0.5172, 0.7717, 0.9431}) {
    const double t = at(q, share), h = 1e-6 * t;
    for (const bool of_sigma : {false, true}) {
      const auto f = [&](double u) { return of_sigma ? q.sigma(u).one() : q.alpha(u).one(); };
      const double stated = of_sigma ? q.sigma_slope(t).one() : q.alpha_slope(t).one(),
                   measured = (f(t + h) - f(t - h)) / (2 * h);
      worst = std::max(worst, std::abs(stated - measured) /
                                  std::max({std::abs(measured), f(t) / q.t_max() * 1e-2, 1e-9}));
    }
  }
  if (worst > 1e-4)
    throw Failed(fmt::format("a derivative is off by {:.2g} of it from finite differences", worst));
  return {{"detail", fmt::format("off by {:.1g}", worst)}};
}

Json check_kernels(const Scheduler& q) {
  double worst = 0;
  for (const auto& [r, s, t] : {std::tuple{0.0, 0.3, 0.8}, {0.1, 0.5, 0.95}, {0.4, 0.41, 0.42}}) {
    const Kernel a = q.kernel(at(q, r), at(q, s)), b = q.kernel(at(q, s), at(q, t)),
                 c = q.kernel(at(q, r), at(q, t));
    for (const double variance : {a.sigma2.one(), b.sigma2.one(), c.sigma2.one()})
      if (!(variance >= 0))
        throw Failed(fmt::format("a kernel between t = {:.3g} and {:.3g} has the variance {:.3g}",
                                 at(q, r), at(q, t), variance));
    worst = std::max(
        {worst, std::abs((a.alpha * b.alpha / c.alpha).one() - 1),
         std::abs((square(b.alpha) * a.sigma2 + b.sigma2 - c.sigma2).one()) / c.sigma2.one()});
  }
  if (!(worst < 1e-9))
    throw Failed(fmt::format("two kernels in a row are off by {:.2g} from one", worst));
  return {{"detail", fmt::format("off by {:.1g}", worst)}};
}

Json check_inverse(const Scheduler& q) {
  double worst = 0;
  for (const double share : {0.02, 0.3, 0.7, 0.98}) {
    const double lambda = q.lambda(at(q, share)).one();
    if (!std::isfinite(lambda)) continue;
    worst = std::max(worst, std::abs(q.lambda(q.t_of(lambda)).one() - lambda));
  }
  if (!(worst < 1e-6))
    throw Failed(fmt::format("log(alpha/sigma) at t_of(l) is off by {:.2g} from l", worst));
  return {{"detail", fmt::format("off by {:.1g}", worst)}};
}

}  // namespace

Json check_scheduler(const std::string& check, const Json& request) {
  host::check_all(request["component"]);
  const host::Setup setup({{"dataset", own(request, "dataset", "gaussian")},
                           {"scheduler", request["component"]},
                           {"run", {{"precision", "float64"}}}},
                          at::kCPU, false);
  const Scheduler* q = setup.scheduler.get();
  if (q->t_min() == q->t_max()) throw Skipped("it has one level");
  if (check == "marginals") return check_marginals(*q);
  if (check == "slopes") return check_slopes(*q);
  if (check == "kernels") return check_kernels(*q);
  return check_inverse(*q);
}

}  // namespace scorelab::certify
