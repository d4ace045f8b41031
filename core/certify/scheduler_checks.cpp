#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "certify/around.h"
#include "evaluate/evaluation.h"

namespace scorelab::certify {

using host::make_as;

Json check_scheduler(const std::string& check, const Json& request) {
  auto q = make_as<Scheduler>(request["component"]);
  host::check_all(request["component"]);
  host::prepare(q, request["component"], {.options = at::kDouble, .shape = {2}});
  const double low = q->t_min(), high = q->t_max();
  if (low == high) throw Skipped("it has one level");
  const auto at = [&](double share) { return low + (high - low) * share; };
  if (check == "marginals") {
    double last = 1e300;
    for (int i = 0; i <= 200; ++i) {
      const double t = at(i / 200.0), alpha = q->alpha(t).one(), sigma = q->sigma(t).one();
      if (!(std::isfinite(alpha) && std::isfinite(sigma) && alpha >= 0 && sigma >= 0))
        throw Failed(fmt::format("at t = {}: alpha {}, sigma {}", t, alpha, sigma));
      const double snr = sigma > 0 ? alpha / sigma : 1e300;
      if (snr > last) throw Failed(fmt::format("alpha/sigma rises at t = {}: it must fall from clean to noisy", t));
      last = snr;
    }
    const double alpha = q->alpha(high).one(), sigma = q->sigma(high).one(), prior = q->prior_std();
    if (!(prior > 0.9 * sigma && prior < 1.1 * std::hypot(alpha, sigma)))
      throw Failed(fmt::format("its prior has the standard deviation {}, but x at t = {} has alpha {:.3g} and sigma {:.3g}", prior, high,
                               alpha, sigma));
    same(std::isfinite(q->conditioning(high)) && std::isfinite(q->conditioning(low)), "its conditioning is not finite");
    return {{"detail", fmt::format("t from {:.3g} to {:.3g}", low, high)}};
  }
  double worst = 0;
  if (check == "slopes") {
    for (const double share : {0.0313, 0.2341, 0.5172, 0.7717, 0.9431}) {
      const double t = at(share), h = 1e-6 * t;
      for (const bool of_sigma : {false, true}) {
        const auto f = [&](double u) { return of_sigma ? q->sigma(u).one() : q->alpha(u).one(); };
        const double stated = of_sigma ? q->sigma_slope(t).one() : q->alpha_slope(t).one(), measured = (f(t + h) - f(t - h)) / (2 * h);
        worst = std::max(worst, std::abs(stated - measured) / std::max({std::abs(measured), f(t) / high * 1e-2, 1e-9}));
      }
    }
    if (worst > 1e-4) throw Failed(fmt::format("a derivative is off by {:.2g} of it from finite differences", worst));
    return {{"detail", fmt::format("off by {:.1g}", worst)}};
  }
  if (check == "kernels") {
    for (const auto& [r, s, t] : {std::tuple{0.0, 0.3, 0.8}, {0.1, 0.5, 0.95}, {0.4, 0.41, 0.42}}) {
      const Kernel a = q->kernel(at(r), at(s)), b = q->kernel(at(s), at(t)), c = q->kernel(at(r), at(t));
      for (const double variance : {a.sigma2.one(), b.sigma2.one(), c.sigma2.one()})
        if (!(variance >= 0))
          throw Failed(fmt::format("a kernel between t = {:.3g} and {:.3g} has the variance {:.3g}", at(r), at(t), variance));
      worst = std::max({worst, std::abs((a.alpha * b.alpha / c.alpha).one() - 1),
                        std::abs((square(b.alpha) * a.sigma2 + b.sigma2 - c.sigma2).one()) / c.sigma2.one()});
    }
    if (!(worst < 1e-9)) throw Failed(fmt::format("two kernels in a row are off by {:.2g} from one", worst));
    return {{"detail", fmt::format("off by {:.1g}", worst)}};
  }
  for (const double share : {0.02, 0.3, 0.7, 0.98}) {
    const double lambda = q->lambda(at(share)).one();
    if (!std::isfinite(lambda)) continue;
    worst = std::max(worst, std::abs(q->lambda(q->t_of(lambda)).one() - lambda));
  }
  if (!(worst < 1e-6)) throw Failed(fmt::format("log(alpha/sigma) at t_of(l) is off by {:.2g} from l", worst));
  return {{"detail", fmt::format("off by {:.1g}", worst)}};
}

}  // namespace scorelab::certify
